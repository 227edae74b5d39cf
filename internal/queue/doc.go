// Package queue carries work and hot state between API and workers, in Redis.
package queue
