// Package kube reads what Kubernetes objects say of themselves: whether pods and nodes are ready and why not, how a pod ended, what a drain
// would evict, and the labels that everybody agrees on. It asks no cluster.
package kube
