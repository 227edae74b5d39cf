package config

const (
	Mask    = mask
	MaxFile = maxFile
)

var (
	Distance        = distance
	ServiceVariable = serviceVariable
	SetFromYAML     = func(c any, text []byte) error { return setFromYAML(c, text, origins{}) }
)
