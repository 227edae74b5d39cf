package node

// Outcome is what became of one answer.
type Outcome uint8

// The outcomes. Their numbers travel in replies between processes of
// different versions: add at the end, never renumber.
const (
	// Undecided is the zero value: the node could not say, and the farmer
	// shall ask again. It is never told to a farmer as an error of the proof.
	Undecided Outcome = iota
	OK
	// OKAgain is the same proof posted again; it is ok and counts nothing.
	OKAgain
	Invalid
	// InvalidAgain is the same wrong proof posted again; it counts nothing.
	InvalidAgain
	AlreadyAnswered
	ContractExpired
	ContractNotFound
	TooManyWrong

	outcomes // how many there are
)

// Valid says whether o is one of the outcomes above.
func (o Outcome) Valid() bool { return o < outcomes }

// Accepted says whether the farmer is told "ok".
func (o Outcome) Accepted() bool { return o == OK || o == OKAgain }

// Counts says whether the outcome changed the contract.
func (o Outcome) Counts() bool { return o == OK || o == Invalid }

// Message is what the farmer is told where the answer was not accepted.
func (o Outcome) Message() string {
	switch o {
	case OK, OKAgain:
		return "ok"
	case Invalid, InvalidAgain:
		return "proof invalid"
	case AlreadyAnswered:
		return "Challenge already answered"
	case ContractExpired:
		return "contract expired"
	case ContractNotFound:
		return "contract not found"
	case TooManyWrong:
		return "too many wrong answers"
	default:
		return "undecided"
	}
}

// String is the outcome's name in metrics and logs.
func (o Outcome) String() string {
	names := [...]string{
		"undecided", "ok", "ok_again", "invalid", "invalid_again",
		"already_answered", "expired", "not_found", "too_many_wrong",
	}
	if !o.Valid() {
		return "unknown"
	}
	return names[o]
}
