package images

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"sigs.k8s.io/yaml"

	"bitvault.dev/rollproof/harness/words"
)

// definitionFile is what makes a folder below fixtures/images a component.
const definitionFile = "component.yaml"

// projectModule is the module whose root holds fixtures/images.
const projectModule = "bitvault.dev/rollproof"

// Definition is one component.yaml: what an image is made of. docs/images.md explains every field to who writes one.
type Definition struct {
	// Name is the folder's name.
	Name string `json:"-"`
	// Dir is the component's folder.
	Dir string `json:"-"`

	About    string `json:"about"`
	Version  string `json:"version"`            // also replaces ${version} everywhere below; ${arch} is Go's name of the architecture
	Ref      string `json:"ref,omitempty"`      // the name pods use; by default rollproof.local/<name>:<key>
	Upstream string `json:"upstream,omitempty"` // where --images=pull takes it from; empty: always built

	From        string       `json:"from,omitempty"` // the component whose layers are below; none: scratch
	Debootstrap *Debootstrap `json:"debootstrap,omitempty"`
	Go          []GoBuild    `json:"go,omitempty"`
	Files       []Files      `json:"files,omitempty"`
	Maven       []Maven      `json:"maven,omitempty"`
	// Links are symbolic links in the image: absolute path to what it points to.
	Links      map[string]string `json:"links,omitempty"`
	Dockerfile string            `json:"dockerfile,omitempty"` // built by the Docker engine on top of From
	Preload    []Preload         `json:"preload,omitempty"`    // images that go into the build as preload.tar
	Config     Config            `json:"config,omitempty"`     // of an image without a Dockerfile
}

// Debootstrap makes a root file system of Debian packages.
type Debootstrap struct {
	Suite   string   `json:"suite"`
	Include []string `json:"include,omitempty"`
	Remove  []string `json:"remove,omitempty"` // shell patterns below the root, taken out to keep the image small
}

// GoBuild is one `go build`: its result is one or several binaries. Exactly one of Module, Package and Source is set.
type GoBuild struct {
	Module  string  `json:"module,omitempty"`  // folder beside component.yaml with a go.mod: its tool lines, or its main package
	Package string  `json:"package,omitempty"` // package of rollproof's own module, as ./fixtures/apps/bitvaultd
	Source  *Source `json:"source,omitempty"`  // built in a copy of the upstream module's own folder

	Overlay []Overlay           `json:"overlay,omitempty"` // only with Module
	Tags    []string            `json:"tags,omitempty"`
	Vars    map[string]string   `json:"vars,omitempty"`    // package.variable to string, for -ldflags -X
	Rename  map[string]string   `json:"rename,omitempty"`  // what go build names a binary, to its name in the image
	Install map[string][]string `json:"install,omitempty"` // folder in the image, to binaries
}

// Overlay compiles a file of the component's folder in the place of a file of a module: what the product can do without is left out, and
// with it all that would be compiled for it alone.
type Overlay struct {
	Module string `json:"module"` // at the version of the build's go.mod
	File   string `json:"file"`   // below the module's folder; it must exist
	With   string `json:"with"`   // below the folder of the build's go.mod
}

// Source is an upstream module that must be built where its own go.mod is, with its own versions and replace lines.
type Source struct {
	Module      string            `json:"module"`
	Version     string            `json:"version"`
	Sum         string            `json:"sum"` // h1: checksum of the module's zip, as go.sum has it
	Packages    []string          `json:"packages"`
	Replace     map[string]string `json:"replace,omitempty"`     // added to its go.mod: module to module@version
	DropReplace []string          `json:"dropReplace,omitempty"` // modules whose replace lines point outside of the zip
	GoSum       string            `json:"goSum,omitempty"`       // file beside component.yaml that is added to its go.sum
}

// Files copies files into the image. Scripts and binaries become 0755, everything else 0644.
type Files struct {
	Module string `json:"module,omitempty"` // take Path from this module, at the version of rollproof's go.mod
	Path   string `json:"path"`             // a file or a folder, below the component's folder or the module's
	To     string `json:"to"`               // folder in the image
}

// Preload is an image that is packed into another one: a component, or one made on the spot of this component's binaries.
type Preload struct {
	As        string   `json:"as"` // its name there
	Component string   `json:"component,omitempty"`
	From      string   `json:"from,omitempty"`
	Binaries  []string `json:"binaries,omitempty"` // go to /usr/local/bin
	Config    Config   `json:"config,omitempty"`
}

// Config is the part of an OCI image configuration that components need.
type Config struct {
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkDir    string            `json:"workDir,omitempty"`
	Ports      []string          `json:"ports,omitempty"` // as 8080/tcp
}

// FindRoot walks up from dir to the folder whose go.mod is rollproof's: fixtures/images is read from there.
func FindRoot(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the project's root: %w", err)
	}
	for at := abs; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && modfile.ModulePath(data) == projectModule {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no go.mod of %s in %s or above it: run rollproof inside of its repository", projectModule, abs)
		}
	}
}

// LoadDefinitions reads every fixtures/images/<name>/component.yaml below root and checks that they fit together.
func LoadDefinitions(root string) (map[string]*Definition, error) {
	dir := filepath.Join(root, "fixtures", "images")
	files, err := filepath.Glob(filepath.Join(dir, "*", definitionFile))
	if err != nil {
		return nil, fmt.Errorf("list components: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no component in %s: each is a folder with a %s", dir, definitionFile)
	}
	all := map[string]*Definition{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read component: %w", err)
		}
		d, err := parseDefinition(filepath.Base(filepath.Dir(file)), data)
		if err != nil {
			return nil, err
		}
		d.Dir = filepath.Dir(file)
		all[d.Name] = d
	}
	return all, checkReferences(all)
}

// parseDefinition reads one component.yaml. Unknown fields are errors: a misspelt one would silently change what is built.
func parseDefinition(component string, data []byte) (*Definition, error) {
	where := path.Join("fixtures/images", component, definitionFile)
	// Not by the YAML parser: {a: ${version}} is no YAML before the version is filled in.
	text := string(data)
	if m := versionLine.FindStringSubmatch(text); m != nil {
		text = strings.ReplaceAll(text, "${version}", m[1])
	}
	text = strings.ReplaceAll(text, "${arch}", runtime.GOARCH)
	d := &Definition{Name: component}
	if err := yaml.UnmarshalStrict([]byte(text), d); err != nil {
		return nil, fmt.Errorf("%s: %s", where, words.OneLine(err.Error()))
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return d, nil
}

var (
	plainName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	versionLine = regexp.MustCompile(`(?m)^version:[ \t]*["']?([^"'\s#]+)`)
	binaryName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
)

// check finds what a reader of the file can see to be wrong, without looking at other files.
func (d *Definition) check() error {
	if !plainName.MatchString(d.Name) {
		return fmt.Errorf("the folder's name %q is not a component name: lower-case letters, digits, dots and dashes", d.Name)
	}
	for field, value := range map[string]string{"about": d.About, "version": d.Version} {
		if strings.TrimSpace(value) == "" {
			return fmt.Errorf("%s is missing", field)
		}
	}
	for field, value := range map[string]string{"ref": d.Ref, "upstream": d.Upstream} {
		if _, err := name.ParseReference(value); value != "" && err != nil {
			return fmt.Errorf("%s: %s", field, words.OneLine(err.Error()))
		}
	}
	if d.Debootstrap == nil && d.Dockerfile == "" && len(d.Go)+len(d.Maven)+len(d.Files) == 0 && d.From == "" {
		return errors.New("nothing to build: give at least one of debootstrap, dockerfile, go, maven, files")
	}
	if d.Debootstrap != nil && (d.From != "" || d.Dockerfile != "" || d.Debootstrap.Suite == "") {
		return errors.New("debootstrap needs a suite, and goes with neither from nor dockerfile")
	}
	if d.Dockerfile != "" && d.From == "" {
		return errors.New("dockerfile needs from: the component it gets as BASE")
	}
	if len(d.Preload) > 0 && d.Dockerfile == "" {
		return errors.New("preload needs a dockerfile, which gets preload.tar")
	}
	for i, g := range d.Go {
		if err := g.check(); err != nil {
			return fmt.Errorf("go[%d]: %w", i, err)
		}
	}
	for i, f := range d.Files {
		if !localPath(f.Path) || !path.IsAbs(f.To) {
			return fmt.Errorf("files[%d]: path must lie below its folder and to must be absolute: %q to %q", i, f.Path, f.To)
		}
	}
	for i, m := range d.Maven {
		if err := m.check(); err != nil {
			return fmt.Errorf("maven[%d]: %w", i, err)
		}
	}
	for at, to := range d.Links {
		if !path.IsAbs(at) || to == "" {
			return fmt.Errorf("links: %q to %q: a link lies at an absolute path and points to something", at, to)
		}
	}
	for i, p := range d.Preload {
		if err := p.check(); err != nil {
			return fmt.Errorf("preload[%d]: %w", i, err)
		}
	}
	return nil
}

func (g GoBuild) check() error {
	given := 0
	for _, set := range []bool{g.Module != "", g.Package != "", g.Source != nil} {
		if set {
			given++
		}
	}
	if given != 1 {
		return fmt.Errorf("give exactly one of module, package and source, not %d", given)
	}
	if g.Module != "" && !localPath(g.Module) {
		return fmt.Errorf("module %q must lie below the component's folder", g.Module)
	}
	if g.Package != "" && !strings.HasPrefix(g.Package, "./") {
		return fmt.Errorf("package %q must begin with ./ (it is one of rollproof's own module)", g.Package)
	}
	for _, o := range g.Overlay {
		if g.Module == "" || o.Module == "" || !localPath(o.File) || !localPath(o.With) {
			return fmt.Errorf("overlay: give module, file and with, all paths below their folders, in a build with a module: %+v", o)
		}
	}
	for dir, binaries := range g.Install {
		if !path.IsAbs(dir) {
			return fmt.Errorf("install folder %q must be absolute", dir)
		}
		for _, b := range binaries {
			if !binaryName.MatchString(b) {
				return fmt.Errorf("install: %q is not the name of a binary", b)
			}
		}
	}
	if s := g.Source; s != nil {
		if err := module.Check(s.Module, s.Version); err != nil {
			return fmt.Errorf("source: %s", words.OneLine(err.Error()))
		}
		if !strings.HasPrefix(s.Sum, "h1:") || len(s.Packages) == 0 {
			return fmt.Errorf("source %s: sum (h1:...) and packages are both needed", s.Module)
		}
		if s.GoSum != "" && !localPath(s.GoSum) {
			return fmt.Errorf("source %s: goSum %q must lie below the component's folder", s.Module, s.GoSum)
		}
	}
	return nil
}

func (p Preload) check() error {
	if _, err := name.ParseReference(p.As); err != nil {
		return fmt.Errorf("as: %s", words.OneLine(err.Error()))
	}
	if (p.Component == "") == (len(p.Binaries) == 0) {
		return fmt.Errorf("%s: give either a component or binaries", p.As)
	}
	return nil
}

// label is how messages and locks call a build.
func (d *Definition) label(g GoBuild) string {
	switch {
	case g.Module == ".":
		return d.Name
	case g.Module != "":
		return path.Base(g.Module)
	case g.Package != "":
		return path.Base(g.Package)
	default:
		return path.Base(strings.TrimRight(g.Source.Module, "/0123456789v"))
	}
}

// dependencies names the components whose images this one is made of, sorted.
func (d *Definition) dependencies() []string {
	needs := map[string]bool{}
	for _, p := range d.Preload {
		needs[p.Component], needs[p.From] = true, true
	}
	needs[d.From] = true
	delete(needs, "")
	return slices.Sorted(maps.Keys(needs))
}

// checkReferences finds components that name one that is missing, and circles.
func checkReferences(all map[string]*Definition) error {
	for _, n := range slices.Sorted(maps.Keys(all)) {
		for _, dep := range all[n].dependencies() {
			if all[dep] == nil {
				return fmt.Errorf("fixtures/images/%s/%s: %w", n, definitionFile, unknown(dep, all))
			}
		}
	}
	_, err := order(all, slices.Sorted(maps.Keys(all)))
	return err
}

// order returns the named components and all they depend on, dependencies first.
func order(all map[string]*Definition, names []string) ([]*Definition, error) {
	var ordered []*Definition
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(n string, trail []string) error
	visit = func(n string, trail []string) error {
		trail = append(trail, n)
		switch {
		case all[n] == nil:
			return unknown(n, all)
		case state[n] == visiting:
			return fmt.Errorf("components depend on each other in a circle: %s", strings.Join(trail, " -> "))
		case state[n] == done:
			return nil
		}
		state[n] = visiting
		for _, dep := range all[n].dependencies() {
			if err := visit(dep, trail); err != nil {
				return err
			}
		}
		state[n] = done
		ordered = append(ordered, all[n])
		return nil
	}
	for _, n := range names {
		if err := visit(n, nil); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

// unknown is the error for a component that does not exist.
func unknown(component string, all map[string]*Definition) error {
	return words.Unknown("component", component, slices.Sorted(maps.Keys(all)))
}

// localPath reports whether p stays below the folder it is relative to.
func localPath(p string) bool { return p != "" && filepath.IsLocal(filepath.FromSlash(p)) }

// oneLine makes an error of a library fit into one line.

// regularFiles lists the files of a folder (or the one file) in order, relative to it, with `/`. Links and devices are refused.
func regularFiles(root string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(root, func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is not a regular file", p)
		}
		rel, err := filepath.Rel(root, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}
