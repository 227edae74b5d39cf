package config

import (
	"log/slog"
	"time"

	"github.com/driveshare/downstream-node/heartbeat"
)

// Default returns the configuration of a node whose file and environment say
// nothing. The limits are those of PROTOCOL.md, section 2.
func Default() Config {
	return Config{
		Node:   Node{Name: "downstream"},
		API:    defaultAPI(),
		Worker: defaultWorker(),
		Heartbeat: Heartbeat{
			Type:          heartbeat.Swizzle,
			CheckFraction: 0.01,
			Challenges:    256,
		},
		Contracts: Contracts{
			Interval:            300 * time.Second,
			TokensPerIP:         5,
			ContractsPerRequest: 10,
			BytesPerAddress:     gib,
			DefaultRequestSize:  32 * kib,
			MessageLength:       1024,
			WrongAnswers:        8,
			Retention:           30 * 24 * time.Hour,
		},
		Access: Access{Whitelist: true, Signatures: true, MinBalance: 10_000},
		Inventory: Inventory{
			MinChunkSize: kib,
			MaxChunkSize: 32 * mib,
			TotalSize:    gib,
			Base:         2,
			Encoders:     1,
		},
		Database: Database{
			Driver:       SQLite,
			Path:         "data/downstream.db",
			MaxOpen:      32,
			MaxIdle:      16,
			ConnLifetime: 5 * time.Minute,
		},
		Redis: Redis{MaxQueue: 10_000},
		Geo:   Geo{ReloadInterval: time.Minute},
		Sweep: Sweep{
			Interval: 5 * time.Second,
			Grace:    time.Minute,
			Batch:    1000,
		},
		Record: Record{Minutes: 48 * time.Hour, Hours: 2 * 365 * 24 * time.Hour, FarmerDays: 400 * 24 * time.Hour},
		Log:    Log{Level: slog.LevelInfo, Format: LogJSON},
	}
}

// Standalone returns the [Default] of the single process for a laptop:
// everybody may have a token, and the log is for people.
func Standalone() Config {
	c := Default()
	c.Access.Whitelist = false
	c.Access.Signatures = false
	c.Log.Format = LogText
	return c
}

func defaultAPI() API {
	return API{
		Listen:            ":5000",
		PrivateListen:     ":9090",
		MaxBody:           32 * mib,
		MaxProofs:         10_000,
		PartSize:          100,
		AnswerTimeout:     20 * time.Second,
		DrainDelay:        5 * time.Second,
		ShutdownTimeout:   25 * time.Second,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxInFlight:       1000,
	}
}

func defaultWorker() Worker {
	return Worker{
		PrivateListen: ":9090",
		CommitBatch:   1000,
		CommitDelay:   3 * time.Millisecond,
		JobHardLimit:  10 * time.Second,
		ClaimIdle:     30 * time.Second,
		MaxDeliveries: 5,
		DrainTimeout:  20 * time.Second,
		Duties:        Duties{Verify: true, Stock: true, Sweep: true},
	}
}
