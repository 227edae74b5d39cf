package config

const (
	Mask    = mask
	MaxFile = maxFile
)

var (
	Distance        = distance
	ServiceVariable = serviceVariable
	SetFromYAML     = setFromYAML
)
