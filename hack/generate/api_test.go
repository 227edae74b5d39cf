package main

import "testing"

const description = `
openapi: 3.1.0
info:
  description: |
    First
    words.

    And more.
servers: [{url: /api, description: here}]
tags: [{name: Things, description: About things.}]
paths:
  /thing/{id}:
    parameters: [{$ref: "#/components/parameters/id"}]
    get: &get
      tags: [Things]
      summary: Get a thing
      responses: &responses
        "200":
          description: It is there.
          headers: {ETag: {description: Its tag.}}
          content: {application/json: {schema: {$ref: "#/components/schemas/Thing"}}}
        "304": {description: It is as it was.}
        default: {description: Else.}
    post:
      tags: [Things]
      summary: Make a thing
      requestBody: {content: {application/json: {schema: {type: object, properties: {size: {type: integer, description: "How big, a|b."}}}}}}
      responses: *responses
  /thing/{id}/{form}:
    x-form-of: /thing/{id}
    parameters: [{$ref: "#/components/parameters/id"}, {name: form, in: path, description: Which form., schema: {type: string, enum: [round, square], default: round}}]
    get: {<<: *get, operationId: other}
components:
  parameters: {id: {name: id, in: path, description: Which thing., schema: {type: string}}}
  schemas:
    Count: {type: integer, description: A number.}
    Thing:
      description: What it is.
      oneOf:
        - {title: whole, type: object, properties: {count: {$ref: "#/components/schemas/Count"}, parts: {type: array, items: {$ref: "#/components/schemas/Thing"}}}}
        - {title: text, type: string, contentEncoding: base64}
    Maybe: {type: object, properties: {at: {type: [number, "null"], description: Perhaps.}, ok: {const: ok}, of: {type: object, properties: {day: {type: string, format: date}}}}}
`

const statuses = "| status | body | meaning |\n|---|---|---|\n" +
	"| 200 | [Thing](#thing) | It is there. `ETag`: Its tag. |\n" +
	"| 304 | none | It is as it was. |\n\n"

const wantAPI = apiHead + "First words.\n\nAnd more.\n\n- `/api`: here\n\n## Things\n\nAbout things.\n\n" +
	"### GET /thing/{id}\n\nGet a thing.\n\nAlso: `/thing/{id}/{form}`.\n\n" +
	"| parameter | in | type | meaning |\n|---|---|---|---|\n" +
	"| `id` | path | string | Which thing. |\n" +
	"| `form` | path | `round`, `square`, default `round` | Which form. |\n\n" + statuses +
	"### POST /thing/{id}\n\nMake a thing.\n\n" +
	"| parameter | in | type | meaning |\n|---|---|---|---|\n" +
	"| `id` | path | string | Which thing. |\n\nRequest body:\n\n" +
	"| member | type | meaning |\n|---|---|---|\n" +
	"| `size` | integer | How big, a\\|b. |\n\n" + statuses +
	"## Bodies\n\n### Thing\n\nWhat it is.\n\nWhole:\n\n" +
	"| member | type | meaning |\n|---|---|---|\n" +
	"| `count` | integer | A number. |\n" +
	"| `parts` | list of [Thing](#thing) |  |\n\nText: base64\n\n### Maybe\n\n" +
	"| member | type | meaning |\n|---|---|---|\n" +
	"| `at` | number or null | Perhaps. |\n" +
	"| `ok` | `\"ok\"` |  |\n" +
	"| `of` | {`day`: date} |  |\n"

func TestRenderAPI(t *testing.T) {
	t.Parallel()
	got, err := renderAPI([]byte(description))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != wantAPI {
		t.Errorf("rendered\n%s\nwant\n%s", got, wantAPI)
	}
	if _, err := renderAPI([]byte("{")); err == nil {
		t.Error("an incomplete description has no error")
	}
}
