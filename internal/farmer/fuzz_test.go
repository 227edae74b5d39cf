package farmer

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A node can send any bytes. Decoding must not panic, and the decoded values must
// be safe to use.

func FuzzChunks(f *testing.F) {
	hash := strings.Repeat("0f", 32)
	f.Add(`{"chunks": []}`)
	f.Add(`{"chunks": [{"file_hash": "` + hash + `", "seed": "s", "size": 10, "challenge": {"seed": "", "index": 0}, "tag": {}, "due": 299}]}`)
	f.Add(`{"chunks": [{"file_hash": "../../x", "seed": "s", "size": -1, "challenge": null, "tag": "AAAA", "due": 9223372036854775807}]}`)
	f.Add(`{"note": {"a": [1, 2]}, "chunks": [{"file_hash": "` + hash + `"}], "more": 1}`)
	f.Add(`{"chunks": null}`)
	f.Add(`{"chunks": [`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, response string) {
		received := time.Now()
		_ = decodeChunks(strings.NewReader(response), received, func(chunk Chunk) error {
			if !isFileHash(chunk.FileHash) || strings.ContainsAny(chunk.FileHash, `/\.`) || chunk.Size < 0 {
				t.Errorf("accepted file_hash %q with size %d", chunk.FileHash, chunk.Size)
			}
			if due := chunk.DueAt(); due.Before(received) || due.After(received.Add(maxDue)) {
				t.Errorf("due %v in a response received at %v", due, received)
			}
			return nil
		})
	})
}

func FuzzChallenges(f *testing.F) {
	f.Add(`{"challenges": [{"file_hash": "h", "challenge": "AAAA", "due": 3, "answered": true}]}`)
	f.Add(`{"challenges": [{"file_hash": "h", "status": "no more challenges"}, {"file_hash": "h", "error": "contract expired"}]}`)
	f.Add(`{"challenges": [{"due": -1}, 4]}`)
	f.Add(`{"challenges": {}}`)
	f.Fuzz(func(t *testing.T, response string) {
		received := time.Now()
		challenges, err := decodeChallenges(strings.NewReader(response), received)
		if err != nil && challenges != nil {
			t.Errorf("%d challenges with error %v", len(challenges), err)
		}
		for _, c := range challenges {
			if due := c.DueAt(); due.Before(received) || due.After(received.Add(maxDue)) {
				t.Errorf("due %v in a response received at %v", due, received)
			}
		}
	})
}

func FuzzReport(f *testing.F) {
	f.Add(`{"report": [{"file_hash": "h", "status": "ok"}, {"file_hash": "h", "error": "proof invalid"}]}`)
	f.Add(`{"report": [{"file_hash": "h", "status": "ok", "error": "both"}]}`)
	f.Add(`{"report": [null, {}]}`)
	f.Add(`{"report"`)
	f.Fuzz(func(t *testing.T, response string) {
		report, err := collect[Verdict](strings.NewReader(response), "report")
		if err != nil && report != nil {
			t.Errorf("%d verdicts with error %v", len(report), err)
		}
		for _, v := range report {
			if v.OK() && v.Error != "" {
				t.Errorf("a verdict is ok and has an error: %+v", v)
			}
		}
	})
}

func FuzzErrorMessage(f *testing.F) {
	f.Add([]byte(`{"status": "error", "message": "Invalid token."}`))
	f.Add([]byte("<html>\n"))
	f.Add([]byte{0xff, '\n'})
	f.Fuzz(func(t *testing.T, body []byte) {
		message, _ := errorMessage(body)
		if strings.Contains(message, "\n") || len(message) > maxMessage || !utf8.ValidString(message) {
			t.Errorf("message %q", message)
		}
	})
}
