package jobspec

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

//go:embed reference_intro.md
var referenceIntro string

// Reference is docs/job-file.md: the language as the decoder has it.
func Reference() []byte {
	var out bytes.Buffer
	out.WriteString(referenceIntro)
	out.WriteString("\n## Functions\n\nThose of Terraform that always give the same result:\n\n")
	fmt.Fprintf(&out, "`%s`.\n\n", strings.Join(keysOf(functionsFor(".")), "`, `"))
	out.WriteString("`file`, `filebase64`, `fileexists` and `fileset` take paths relative to the job file and never leave its folder, not by a link either. A file is at most 1 MiB. `fileset(\"data/**/*.csv\")` is the set of the files that match. `length` counts the elements of a list or map, or the characters of a text. There is no function for the time, for chance or for the environment: a job file gives the same run whenever and wherever it is read.\n\n")
	out.WriteString("## Blocks\n\n" + language.description + "\n\n")
	for _, block := range language.blocks {
		referBlock(&out, block, nil)
	}
	out.WriteString("## Not in this release\n\nThese words are refused, not ignored: `" + strings.Join(laterWords, "`, `") + "`.\n")
	return out.Bytes()
}

// referBlock writes a block with what it holds; parents are the blocks around.
func referBlock(out *bytes.Buffer, schema *blockSchema, parents []string) {
	path := append(parents[:len(parents):len(parents)], schema.name)
	fmt.Fprintf(out, "%s %s\n\n%s\n\n", strings.Repeat("#", min(2+len(path), 6)), strings.Join(path, " → "), schema.description)
	if schema.example != "" {
		fmt.Fprintf(out, "```hcl\n%s\n```\n\n", schema.example)
	}
	referAttributes(out, rowsOf(schema))
	for _, attribute := range schema.attributes {
		if attribute.kind == kindObject {
			referBlock(out, attribute.object, path)
		}
	}
	for _, block := range schema.blocks {
		switch {
		case schema == taskSchema && jobSchema.block(block.name) == block: // described with the job
		case block == taskSchema: // large enough to stand beside the job
			referBlock(out, block, nil)
		default:
			referBlock(out, block, path)
		}
	}
	referNested(out, schema)
}

// referNested points at blocks that are described elsewhere.
func referNested(out *bytes.Buffer, schema *blockSchema) {
	if schema != taskSchema {
		return
	}
	out.WriteString("A task also has the blocks `resources` and `retries`, as described below job.\n\n")
}

// row is a line of a table of attributes.
type row struct {
	name, kind, fallback, description, example string
}

func rowsOf(schema *blockSchema) []row {
	var rows []row
	for _, attribute := range schema.attributes {
		fallback := attribute.defText
		switch {
		case attribute.required:
			fallback = "**required**"
		case attribute.def != "":
			fallback = code(attribute.def)
		case fallback == "":
			fallback = "none"
		}
		description := attribute.description
		if len(attribute.oneOf) > 0 {
			description += " One of " + code(attribute.oneOf...) + "."
		}
		rows = append(rows, row{attribute.name, string(attribute.kind), fallback, description, code(attribute.example)})
	}
	return rows
}

func code(texts ...string) string {
	var quoted []string
	for _, text := range texts {
		if text != "" {
			quoted = append(quoted, "`"+text+"`")
		}
	}
	return strings.Join(quoted, ", ")
}

func referAttributes(out *bytes.Buffer, rows []row) {
	if len(rows) == 0 {
		return
	}
	out.WriteString("| attribute | type | default | what it is | example |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, row := range rows {
		fmt.Fprintf(out, "| `%s` | %s | %s | %s | %s |\n", row.name, cell.Replace(row.kind), cell.Replace(row.fallback), cell.Replace(row.description), cell.Replace(row.example))
	}
	out.WriteString("\n")
}

// ProviderReference is the reference of a provider's config block, in the form
// of Reference.
func ProviderReference(description providers.Description) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# The config of provider %s\n\n", description.Name)
	if len(description.Schema.Attributes)+len(description.Schema.Blocks) == 0 {
		out.WriteString("It has none.\n")
		return out.Bytes()
	}
	fmt.Fprintf(&out, "In a `fleet` block of this provider, or in a `provider %q` block for all of them.\n\n", description.Name)
	referSchema(&out, description.Schema, nil)
	return out.Bytes()
}

func referSchema(out *bytes.Buffer, schema providers.Schema, path []string) {
	var rows []row
	for _, attribute := range schema.Attributes {
		fallback := "none"
		if attribute.Required {
			fallback = "**required**"
		} else if len(attribute.Default) > 0 {
			fallback = code(compactJSON(attribute.Default))
		}
		description := attribute.Description
		if len(attribute.OneOf) > 0 {
			description = strings.TrimSuffix(description, ".") + ". One of " + code(attribute.OneOf...) + "."
		}
		rows = append(rows, row{attribute.Name, attribute.Type, fallback, description, code(attribute.Example)})
	}
	referAttributes(out, rows)
	for _, block := range schema.Blocks {
		here := append(path[:len(path):len(path)], block.Type)
		fmt.Fprintf(out, "%s %s\n\n%s", strings.Repeat("#", min(1+len(here), 6)), strings.Join(here, " → "), block.Description)
		if block.Max > 0 {
			fmt.Fprintf(out, " At most %d.", block.Max)
		}
		out.WriteString("\n\n")
		referSchema(out, block.Schema, here)
	}
}

func compactJSON(data json.RawMessage) string {
	var out bytes.Buffer
	if err := json.Compact(&out, data); err != nil {
		return string(data)
	}
	return out.String()
}
