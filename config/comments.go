package config

import (
	"embed"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
)

// tableSource is the source of the structs that define the keys. Their comments are the
// descriptions in the schema, so that each text exists once.
//
//go:embed config.go config_*.go
var tableSource embed.FS

// comments holds the comments of types, fields and constants.
type comments struct {
	types  map[string]string            // by type
	fields map[string]string            // by type and field, as "Route.Name"
	words  map[string]map[string]string // by type and value of a constant
}

// readComments collects the comments of tableSource.
func readComments() (*comments, error) {
	c := &comments{map[string]string{}, map[string]string{}, map[string]map[string]string{}}
	err := fs.WalkDir(tableSource, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		src, err := tableSource.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		c.file(file)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the descriptions of the keys: %w", err)
	}
	return c, nil
}

// file collects the comments of one file.
func (c *comments) file(file *ast.File) {
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range decl.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				c.typeSpec(s, decl.Doc)
			case *ast.ValueSpec:
				c.valueSpec(s)
			}
		}
	}
}

func (c *comments) typeSpec(s *ast.TypeSpec, doc *ast.CommentGroup) {
	c.types[s.Name.Name] = oneLine(doc)
	t, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range t.Fields.List {
		for _, name := range f.Names {
			c.fields[s.Name.Name+"."+name.Name] = oneLine(f.Doc)
		}
	}
}

func (c *comments) valueSpec(s *ast.ValueSpec) {
	t, ok := s.Type.(*ast.Ident)
	if !ok || len(s.Values) != 1 {
		return
	}
	literal, ok := s.Values[0].(*ast.BasicLit)
	if !ok {
		return
	}
	if value, err := strconv.Unquote(literal.Value); err == nil {
		if c.words[t.Name] == nil {
			c.words[t.Name] = map[string]string{}
		}
		c.words[t.Name][value] = oneLine(s.Comment)
	}
}

// oneLine joins the lines of a comment.
func oneLine(g *ast.CommentGroup) string {
	return strings.Join(strings.Fields(g.Text()), " ")
}

// field returns the description of a key: the comment of its field, with the key in place of the
// field's name.
func (c *comments) field(typeName string, col column) string {
	text := c.fields[typeName+"."+col.field]
	if rest, ok := strings.CutPrefix(text, col.field+" "); ok {
		return "`" + col.key + "` " + rest
	}
	return text
}

// choices returns the descriptions of the words that a value may be.
func (c *comments) choices(typeName string, words []string) string {
	var b strings.Builder
	for _, w := range words {
		if text := c.words[typeName][w]; text != "" {
			b.WriteString("\n- `" + w + "`: " + text)
		}
	}
	return b.String()
}
