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
	long  *strings.Replacer
	short *regexp.Regexp // nil if there is no short value
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
	var long, short []string
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
				long = append(long, secret)
			} else {
				short = append(short, regexp.QuoteMeta(secret))
			}
		}
	}
	// A value may be a part of another one, so the longest comes first.
	slices.SortFunc(long, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(long))
	for _, secret := range long {
		pairs = append(pairs, secret, redacted)
	}
	r := &redactor{long: strings.NewReplacer(pairs...)}
	if len(short) > 0 {
		r.short = regexp.MustCompile(`(^|[^\w.-])(?:` + strings.Join(short, "|") + `)([^\w.-]|$)`)
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

// values removes the known values.
func (r *redactor) values(text string) string {
	text = r.long.Replace(text)
	if r.short != nil {
		for range 2 { // two values may share the character between them
			text = r.short.ReplaceAllString(text, "${1}"+redacted+"${2}")
		}
	}
	return text
}

// text removes the known values, and all that has the form of a secret.
func (r *redactor) text(text string) string {
	return r.values(removeForms(text))
}

// secretForms are the forms of secrets, and what replaces them.
var secretForms = []struct {
	form *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`), redacted},
	{regexp.MustCompile(`AGE-SECRET-KEY-[A-Za-z0-9-]+`), redacted},
	// The credentials of a URL and of a data source name.
	{regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s"'<>]*@`), "${1}" + redacted + "@"},
	{regexp.MustCompile(`[^\s"'=]*:[^\s"']*@(tcp[46]?|unix)\(`), redacted + "@${1}("},
	{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}`), "${1} " + redacted},
	{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`), redacted}, // a JSON Web Token
	// A name that ends with such a word, and its value.
	{regexp.MustCompile(`(?i)((?:` + secretWords + `)\\*["']?\s*[:=]\s*)(?:\\"[^"\\]*\\"|"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}\]]+)`), "${1}" + redacted},
	{regexp.MustCompile(`(?i)(--?[\w-]*(?:` + secretWords + `)\s+)[^\s"']+`), "${1}" + redacted},
}

const secretWords = `password|passwd|passphrase|pwd|secret|token|authorization|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|dsn`

// farmerToken matches the token of a farmer, which is a secret. Logs may have it in a path.
var farmerToken = regexp.MustCompile(`\b[0-9a-fA-F]{32}\b`)

func removeForms(text string) string {
	for _, s := range secretForms {
		text = s.form.ReplaceAllString(text, s.by)
	}
	return text
}

// log is text for logs and events.
func (r *redactor) log(text string) string {
	return farmerToken.ReplaceAllString(r.text(text), redacted)
}
