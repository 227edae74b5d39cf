package page

import (
	"net/mail"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/driveshare/downstream-node/internal/config"
)

// Config is the section page of the configuration.
type Config struct {
	// The name of the node on its page, in its badge and in its feed. Without a name, they
	// show the host that the visitor asked for. At most 64 characters.
	Name string `yaml:"name"`
	// Where farmers reach the operator: a mail address, or an `http` or `https` URL. At most
	// 256 characters.
	Contact string `yaml:"contact"`
	// An announcement that every page shows at its top. At most 500 characters.
	Announcement string `yaml:"announcement"`
}

// Validate implements [config.Validator].
func (c Config) Validate(p *config.Problems) {
	for _, key := range []struct {
		name, text string
		most       int
	}{{"name", c.Name, 64}, {"contact", c.Contact, 256}, {"announcement", c.Announcement, 500}} {
		if utf8.RuneCountInString(key.text) > key.most || strings.ContainsFunc(key.text, unicode.IsControl) {
			p.Add(key.name, "must be one line of at most %d characters", key.most)
		}
	}
	if c.Contact != "" && c.ContactLink() == "" {
		p.Add("contact", "%.300q is neither a mail address nor an http or https URL", c.Contact)
	}
}

// ContactLink returns the URL of the contact, or "" if there is no valid contact.
func (c Config) ContactLink() string {
	if u, err := url.Parse(c.Contact); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		return c.Contact
	}
	if a, err := mail.ParseAddress(c.Contact); err == nil && a.Address == c.Contact {
		return "mailto:" + c.Contact
	}
	return ""
}
