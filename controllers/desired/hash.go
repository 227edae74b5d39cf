package desired

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// nameDigits is how much of a hash goes into a name: enough that two inputs of
// one node do not meet, and that a Job's name with it fits a label.
const nameDigits = 10

// hash tells inputs apart. It is keyed with the heartbeat key, which nobody
// sees who sees the hash: a plain hash over a data source name would let them
// try passwords.
func (n *Node) hash(parts ...[]byte) string {
	mac := hmac.New(sha256.New, n.Inputs.Key)
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// configHash is the annotation that replaces the pods of a Deployment: the
// configuration and what it names.
func (n *Node) configHash(role Role) string {
	return n.hash([]byte(n.Config(role)), n.Inputs.Key, n.Inputs.DSN, n.Inputs.RedisURL)
}

// ConfigName is the name of the ConfigMap with a role's configuration. It
// follows from the content, so that pods of an old template keep the
// configuration that they were started with.
func (n *Node) ConfigName(role Role) string {
	return n.ObjectName(role) + "-" + n.hash([]byte(n.Config(role)))[:nameDigits]
}

// MigrationName is the name of the Job that brings the database to the schema
// of the image.
func (n *Node) MigrationName() string {
	return n.ObjectName(Migration) + "-" + n.hash([]byte(n.image()), n.Inputs.DSN)[:nameDigits]
}

// WhitelistName is the name of the Job that loads the whitelist.
func (n *Node) WhitelistName() string {
	return n.ObjectName(Whitelist) + "-" + n.hash([]byte(n.Config(Whitelist)), n.Inputs.DSN, n.Inputs.Whitelist)[:nameDigits]
}
