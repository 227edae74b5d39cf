package plugin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/driveshare/downstream-node/heartbeat"
	"github.com/driveshare/downstream-node/heartbeat/schemes"
)

// A key file is a private heartbeat file, as `downstream-node heartbeat new` writes it. It may
// be encrypted with age, in its binary form or its text form.

// passphraseFlags say which passphrase encrypts or decrypts a file.
type passphraseFlags struct {
	ask  bool
	file string
}

func (f *passphraseFlags) given() bool { return f.ask || f.file != "" }

// read returns the passphrase. If it comes from a terminal, twice says to ask for it again.
func (f *passphraseFlags) read(cmd *cobra.Command, twice bool) (string, error) {
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(text), "\n")
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			return "", fmt.Errorf("the first line of %s is empty; it must have the passphrase", f.file)
		}
		return line, nil
	}
	stdin := int(os.Stdin.Fd())
	if !term.IsTerminal(stdin) {
		return "", errors.New("a passphrase is needed, but there is no terminal to ask for it; use --passphrase-file")
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		text, err := term.ReadPassword(stdin)
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(text), err
	}
	first, err := ask("Passphrase: ")
	if err != nil || !twice {
		return first, err
	}
	again, err := ask("Again: ")
	switch {
	case err != nil:
		return "", err
	case first == "":
		return "", errors.New("the passphrase is empty")
	case first != again:
		return "", errors.New("the passphrases differ")
	}
	return first, nil
}

// encryption says how to encrypt a key file. If it is empty, the file is not encrypted.
type encryption struct {
	recipients []string
	passphrase passphraseFlags
}

func (e *encryption) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&e.recipients, "recipient", nil, "encrypt the file with age to this recipient (age1...); several are possible")
	flags.BoolVar(&e.passphrase.ask, "passphrase", false, "encrypt the file with age with a passphrase, which the command asks for")
	flags.StringVar(&e.passphrase.file, "passphrase-file", "", "encrypt the file with age with the passphrase in the first line of this file")
	cmd.MarkFlagsMutuallyExclusive("recipient", "passphrase", "passphrase-file")
}

// encrypt returns the content of the file to write.
func (e *encryption) encrypt(cmd *cobra.Command, file []byte) ([]byte, error) {
	var recipients []age.Recipient
	switch {
	case len(e.recipients) > 0:
		var err error
		if recipients, err = age.ParseRecipients(strings.NewReader(strings.Join(e.recipients, "\n"))); err != nil {
			return nil, fmt.Errorf("--recipient: %w", err)
		}
	case e.passphrase.given():
		passphrase, err := e.passphrase.read(cmd, true)
		if err != nil {
			return nil, err
		}
		recipient, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return nil, err
		}
		recipients = []age.Recipient{recipient}
	default:
		return file, nil
	}
	var out bytes.Buffer
	w, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt the key: %w", err)
	}
	if _, err = w.Write(file); err == nil {
		err = w.Close()
	}
	return out.Bytes(), err
}

// decryption says how to read a key file that is encrypted.
type decryption struct {
	identity   string
	passphrase passphraseFlags
}

func (d *decryption) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&d.identity, "identity", "", "decrypt the file with the age identities (AGE-SECRET-KEY-1...) in this file")
	flags.StringVar(&d.passphrase.file, "passphrase-file", "", "decrypt the file with the passphrase in the first line of this file; without it, the command asks")
	cmd.MarkFlagsMutuallyExclusive("identity", "passphrase-file")
}

// The beginnings of a file that age has encrypted.
const ageBinary, ageText = "age-encryption.org/", armor.Header

// readKeyFile reads a key file, and decrypts it if it is encrypted. Its errors do not quote
// the content, which is secret.
func (d *decryption) readKeyFile(cmd *cobra.Command, name string) (file []byte, hb heartbeat.Heartbeat, err error) {
	if file, err = os.ReadFile(name); err != nil {
		return nil, nil, err
	}
	if bytes.HasPrefix(file, []byte(ageBinary)) || bytes.HasPrefix(bytes.TrimSpace(file), []byte(ageText)) {
		if file, err = d.decrypt(cmd, file); err != nil {
			return nil, nil, fmt.Errorf("decrypt %s: %w", name, err)
		}
	}
	if hb, err = schemes.ParseFile(file); err != nil {
		return nil, nil, fmt.Errorf("%s is not a private heartbeat file; `kubectl downstream key export` and `downstream-node heartbeat new` write such files", name)
	}
	return file, hb, nil
}

func (d *decryption) decrypt(cmd *cobra.Command, file []byte) ([]byte, error) {
	var identities []age.Identity
	if d.identity != "" {
		text, err := os.ReadFile(d.identity)
		if err != nil {
			return nil, err
		}
		if identities, err = age.ParseIdentities(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%s has no age identity: %w", d.identity, err)
		}
	} else {
		passphrase, err := d.passphrase.read(cmd, false)
		if err != nil {
			return nil, fmt.Errorf("%w, or --identity if the file is encrypted to a recipient", err)
		}
		identity, err := age.NewScryptIdentity(passphrase)
		if err != nil {
			return nil, err
		}
		identities = []age.Identity{identity}
	}
	in := io.Reader(bufio.NewReader(bytes.NewReader(file)))
	if !bytes.HasPrefix(file, []byte(ageBinary)) {
		in = armor.NewReader(in)
	}
	plain, err := age.Decrypt(in, identities...)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(plain)
}
