package desired

import (
	"cmp"
	"net"
	"path"
	"strconv"

	"github.com/driveshare/downstream-node/api/v1"
)

// SecretFile is an entry of a Secret that pods read as a file. The configuration names
// the file with the key Name followed by "File".
type SecretFile struct{ Name, Secret, Key string }

// These SecretFiles hold data source names.
const (
	DSNFile     = "dsn"
	ReadDSNFile = "readDSN"
)

// MySQLFiles lists the entries of Secrets that pods need to connect to MySQL.
func (n *Node) MySQLFiles() []SecretFile {
	switch m := n.Spec.MySQL; {
	case m.Connection != nil:
		return credentialFiles(m.Connection.Credentials)
	case m.DSNSecretRef != nil:
		return []SecretFile{{DSNFile, m.DSNSecretRef.Name, m.DSNSecretRef.Key}}
	}
	return []SecretFile{{DSNFile, n.ObjectName(MySQL), "dsn"}}
}

// ReplicaFiles lists the entry of a Secret that the pods of the API need to read from a
// replica of MySQL.
func (n *Node) ReplicaFiles() []SecretFile {
	if ref := n.Spec.MySQL.ReadDSNSecretRef; ref != nil {
		return []SecretFile{{ReadDSNFile, ref.Name, ref.Key}}
	}
	return nil
}

// RedisFiles lists the entries of Secrets that pods need to connect to Redis.
func (n *Node) RedisFiles() []SecretFile {
	switch r := n.Spec.Redis; {
	case r.Connection != nil:
		files := credentialFiles(r.Connection.Credentials)
		files = appendFile(files, "sentinelUsername", (*v1.PasswordRef)(r.Connection.SentinelUsernameSecretRef))
		return appendFile(files, "sentinelPassword", r.Connection.SentinelPasswordSecretRef)
	case r.URLSecretRef != nil:
		return []SecretFile{{"url", r.URLSecretRef.Name, r.URLSecretRef.Key}}
	}
	return []SecretFile{{"url", n.ObjectName(Redis), "url"}}
}

func credentialFiles(c v1.Credentials) []SecretFile {
	files := appendFile(nil, "username", (*v1.PasswordRef)(c.UsernameSecretRef))
	files = appendFile(files, "password", c.PasswordSecretRef)
	files = appendFile(files, "ca", (*v1.PasswordRef)(c.CASecretRef))
	if ref := c.ClientCertificateSecretRef; ref != nil {
		files = append(files, SecretFile{"cert", ref.Name, ref.CertificateKey}, SecretFile{"key", ref.Name, ref.PrivateKeyKey})
	}
	return files
}

// appendFile adds a file if the spec names its entry. The types of references differ
// only in the default of their key.
func appendFile(files []SecretFile, name string, ref *v1.PasswordRef) []SecretFile {
	if ref == nil {
		return files
	}
	return append(files, SecretFile{name, ref.Name, ref.Key})
}

// contents returns the contents of files in the order of files.
func contents(files []SecretFile, byName map[string][]byte) [][]byte {
	all := make([][]byte, len(files))
	for i, f := range files {
		all[i] = byName[f.Name]
	}
	return all
}

// database returns the section of the configuration with the MySQL. It holds only the
// keys that are needed, because an older image refuses keys that it does not know.
func (n *Node) database() section {
	s := section{"driver": "mysql"}
	nameFiles(s, mysqlDir, n.MySQLFiles())
	if c := n.Spec.MySQL.Connection; c != nil {
		s["addrs"], s["name"] = addresses(c.Hosts, c.Port), c.Database
		set(s, "username", c.Username)
		set(s, "tls", c.TLS)
	}
	return s
}

// redis returns the section of the configuration with the Redis.
func (n *Node) redis() section {
	s := section{"maxQueue": n.Spec.Redis.MaxQueue}
	nameFiles(s, redisDir, n.RedisFiles())
	if c := n.Spec.Redis.Connection; c != nil {
		s["addrs"] = n.RedisAddrs()
		set(s, "masterName", c.MasterName)
		set(s, "cluster", c.Cluster)
		set(s, "db", c.Database)
		set(s, "username", c.Username)
		set(s, "sentinelUsername", c.SentinelUsername)
		set(s, "tls", c.TLS)
	}
	return s
}

// RedisAddrs returns the addresses in spec.redis.connection.
func (n *Node) RedisAddrs() []string {
	c := n.Spec.Redis.Connection
	usual := int32(redisPort)
	if c.MasterName != "" {
		usual = sentinelPort
	}
	return addresses(c.Hosts, cmp.Or(c.Port, usual))
}

func addresses(hosts []v1.Host, port int32) []string {
	addrs := make([]string, len(hosts))
	for i, host := range hosts {
		addrs[i] = net.JoinHostPort(string(host), strconv.Itoa(int(port)))
	}
	return addrs
}

// nameFiles adds the paths of files in a folder of configDir to a section.
func nameFiles(s section, dir string, files []SecretFile) {
	for _, f := range files {
		s[f.Name+"File"] = path.Join(configDir, dir, f.Name)
	}
}

// set adds a value to a section if it is not the zero value.
func set[T comparable](s section, key string, value T) {
	if value != *new(T) {
		s[key] = value
	}
}
