package plugin

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// redacted stands for a secret that was removed.
const redacted = "[redacted]"

// redactor removes secrets from text. It knows some secrets by their values, and others by
// their form.
type redactor struct {
	long  []string
	short *regexp.Regexp // its group is the value; nil if there is no short value
}

// The lengths of values. A shorter value than minValue would match everywhere. A value that
// is shorter than longValue is removed only if no letter, digit, point or dash is beside it.
const (
	minValue  = 3
	longValue = 8
)

// newRedactor returns a redactor for the values of Secrets. It keeps the public words, such
// as the names of objects: a user name is often the name of its node.
func newRedactor(values [][]byte, public []string) *redactor {
	r := &redactor{}
	var short []string
	seen := map[string]bool{"true": true, "false": true}
	for _, word := range public {
		seen[word] = true
	}
	for _, value := range values {
		for _, secret := range formsOf(string(value)) {
			if seen[secret] || len(secret) < minValue || len(secret) < longValue && strings.Trim(secret, "0123456789") == "" {
				continue
			}
			seen[secret] = true
			if len(secret) >= longValue {
				r.long = append(r.long, secret)
			} else {
				short = append(short, regexp.QuoteMeta(secret))
			}
		}
	}
	if len(short) > 0 {
		r.short = regexp.MustCompile(`(?:^|[^\w.-])(` + strings.Join(short, "|") + `)(?:[^\w.-]|$)`)
	}
	return r
}

// credentials matches the password in a URL or a data source name. A password may contain @,
// so there are two matches: up to the first @ and up to the last.
var credentials = []*regexp.Regexp{regexp.MustCompile(`^[^:]*:(?://[^:@/]*:)?([^@]+)@`), regexp.MustCompile(`^[^:]*:(?://[^:@/]*:)?(.+)@`)}

// formsOf returns the secrets in a value of a Secret, in every form in which a program may
// write them.
func formsOf(value string) (forms []string) {
	value = strings.TrimSpace(value)
	parts := []string{value}
	for _, pattern := range credentials {
		if match := pattern.FindStringSubmatch(value); match != nil {
			parts = append(parts, match[1])
			if plain, err := url.PathUnescape(match[1]); err == nil {
				parts = append(parts, plain)
			}
		}
	}
	var decoded any
	switch {
	case json.Unmarshal([]byte(value), &decoded) == nil:
		parts = append(parts, longTexts(decoded)...)
	case strings.Contains(value, "\n"): // a configuration file, or PEM
		for _, word := range strings.Fields(value) {
			if len(word) >= longValue {
				parts = append(parts, word)
			}
		}
	}
	for _, part := range parts {
		quoted, err := json.Marshal(part)
		if err != nil {
			panic(err) // impossible: it is a string
		}
		forms = append(forms, part, strings.Trim(string(quoted), `"`), url.QueryEscape(part), url.PathEscape(part),
			base64.StdEncoding.EncodeToString([]byte(part)))
	}
	return append(forms, base64.StdEncoding.EncodeToString([]byte(value+"\n")))
}

// longTexts returns the texts in a JSON value that are not short words.
func longTexts(value any) (texts []string) {
	switch value := value.(type) {
	case string:
		if len(value) >= longValue {
			texts = append(texts, value)
		}
	case []any:
		for _, element := range value {
			texts = append(texts, longTexts(element)...)
		}
	case map[string]any:
		for _, member := range value {
			texts = append(texts, longTexts(member)...)
		}
	}
	return texts
}

// span is a part of a text that is a secret.
type span struct{ from, to int }

// values finds the known values.
func (r *redactor) values(text string) (found []span) {
	for _, secret := range r.long {
		for from := 0; ; {
			i := strings.Index(text[from:], secret)
			if i < 0 {
				break
			}
			found = append(found, span{from + i, from + i + len(secret)})
			from += i + len(secret)
		}
	}
	if r.short == nil {
		return found
	}
	for from := 0; ; {
		match := r.short.FindStringSubmatchIndex(text[from:])
		if match == nil {
			return found
		}
		found = append(found, span{from + match[2], from + match[3]})
		from += match[3] // the next value may share the character between them
	}
}

// text removes the known values, and all that has the form of a secret. It finds both in the
// same text: a form may end within a value, and a value may be a word that a form begins with.
func (r *redactor) text(text string) string {
	return remove(text, append(r.values(text), forms(text)...))
}

// remove replaces parts of a text. Parts may overlap.
func remove(text string, parts []span) string {
	slices.SortFunc(parts, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	end := 0
	for i, part := range parts {
		if i == 0 || part.from > end {
			out.WriteString(text[end:part.from])
			out.WriteString(redacted)
		}
		end = max(end, part.to)
	}
	out.WriteString(text[end:])
	return out.String()
}

// secretForms are the forms of secrets. The group of each is the secret.
var secretForms = []*regexp.Regexp{
	regexp.MustCompile(`(?s)(-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z))`),
	regexp.MustCompile(`(AGE-SECRET-KEY-[A-Za-z0-9-]+)`),
	// The credentials of a URL and of a data source name.
	regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://([^\s"'<>]+)@`),
	regexp.MustCompile(`([^\s"'=]*:[^\s"']*)@(?:tcp[46]?|unix)\(`),
	regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+([A-Za-z0-9._~+/=-]{8,})`),
	regexp.MustCompile(`\b(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)`), // a JSON Web Token
	// A name that ends with such a word, and its value.
	regexp.MustCompile(`(?i)(?:` + secretWords + `)\\*["']?\s*[:=]\s*(\\"[^"\\]*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}\]]+)`),
	regexp.MustCompile(`(?i)--?[\w-]*(?:` + secretWords + `)\s+([^\s"']+)`),
}

const secretWords = `password|passwd|passphrase|pwd|secret|token|authorization|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|dsn`

// farmerToken matches the token of a farmer, which is a secret. Logs may have it in a path.
var farmerToken = regexp.MustCompile(`\b[0-9a-fA-F]{32}\b`)

// forms finds all that has the form of a secret.
func forms(text string) (found []span) {
	for _, form := range secretForms {
		for _, match := range form.FindAllStringSubmatchIndex(text, -1) {
			found = append(found, span{match[2], match[3]})
		}
	}
	return found
}

// log is text for logs and events.
func (r *redactor) log(text string) string {
	return farmerToken.ReplaceAllString(r.text(text), redacted)
}
