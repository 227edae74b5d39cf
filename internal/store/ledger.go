package store

import (
	"slices"
	"time"

	"github.com/driveshare/downstream-node/internal/node"
)

// lockedToken is a token's row, locked by the transaction that changes the token's
// contracts. Only the methods in this file change the token's counts and uptime.
// Each method also notes what to add to the record. saveTokens writes all of this.
type lockedToken struct {
	tokenRow          // only the lockedColumns are set
	old      tokenRow // the row when it was locked

	events  []event
	closed  []dayRow
	amended []amendment

	// Both are set by lookForFault. stretchEnd is the true end of the current stretch, if it is
	// not UpEnd. resume is the earliest start of the next stretch, because farmers have until then
	// to return from a fault.
	stretchEnd, resume time.Time

	rules                      ratingRules
	evidence                   node.Evidence
	decoded, unreadable, rated bool             // whether evidence is read, cannot be read, and has changed
	happened                   []farmerEventRow // to be added
}

// event is a change of the record's totals.
type event struct {
	at time.Time
	node.Totals
}

// amendment is a late change to an earlier day.
type amendment struct {
	day    int64
	online time.Duration // what the day's time online changes by
	node.Totals
}

// lockTokens locks the tokens with these ids, in id order. Tokens that do not
// exist are missing from the map.
func (s *Store) lockTokens(t *tx, ids []int64) (map[int64]*lockedToken, error) {
	tokens := make(map[int64]*lockedToken, len(ids))
	for batch := range slices.Chunk(distinct(ids), batchRows) {
		rows, err := selectRows(t, lockedColumns,
			"FROM tokens"+s.dialect.byID+" WHERE id IN "+idList(batch)+" ORDER BY id"+s.dialect.forUpdate)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			tokens[row.ID] = s.locked(row)
		}
	}
	return tokens, nil
}

func (s *Store) lockToken(t *tx, id int64) (*lockedToken, error) {
	tokens, err := s.lockTokens(t, []int64{id})
	if err != nil {
		return nil, err
	}
	if token, ok := tokens[id]; ok {
		return token, nil
	}
	return nil, ErrNotFound
}

// saveTokens writes the changed columns of locked tokens, and adds their days and
// their events.
func (s *Store) saveTokens(t *tx, tokens []*lockedToken) error {
	changes := make([]change[tokenRow], len(tokens))
	for i, token := range tokens {
		token.finishRating()
		changes[i] = change[tokenRow]{id: token.ID, old: &token.old, new: &token.tokenRow}
	}
	u := updating[tokenRow]{table: tokenTable.name, columns: tokenCounts, always: "changed = " + s.dialect.clock}
	if _, err := update(t, s.dialect, u, changes); err != nil {
		return err
	}
	if err := s.saveRatings(t, tokens); err != nil {
		return err
	}
	if err := saveDays(t, tokens); err != nil {
		return err
	}
	return s.record(t, eventsOf(tokens))
}

func eventsOf(tokens []*lockedToken) []event {
	var events []event
	for _, token := range tokens {
		events = append(events, token.events...)
	}
	return events
}

// addContracts counts new contracts that are live from now until due.
func (t *lockedToken) addContracts(now, due time.Time, contracts, size int64) {
	t.extendUptime(now, due)
	t.count(now, node.Totals{Contracts: contracts, Size: size})
	t.LastDue = max(t.LastDue, micros(due))
}

// addHeartbeat counts a heartbeat of a contract.
func (t *lockedToken) addHeartbeat(c *node.Contract, received time.Time) {
	t.extendUptime(received, c.Expiry())
	t.count(received, node.Totals{Heartbeats: 1})
	if t.ProvenSince == 0 {
		t.ProvenSince = micros(received)
	}
	t.LastHeartbeat = max(t.LastHeartbeat, micros(received))
	t.rate(received, func(e *node.Evidence) { e.AddHeartbeat(received, c.Interval, t.rules.HalfLife) })
}

// addWrong counts a wrong proof for a contract.
func (t *lockedToken) addWrong(c *node.Contract, received time.Time) {
	t.rollDay(received)
	t.count(received, node.Totals{Wrong: 1})
	t.rate(received, func(e *node.Evidence) { e.AddWrong(received, c.Interval, t.rules.HalfLife) })
}

// endContract removes a contract that has ended from the counts. fault is the fault that
// made it void, or 0. The row must have the endingColumns.
func (t *lockedToken) endContract(r *contractRow, fault int64) {
	expiry, kind := moment(r.Expiry), r.ending()
	t.rollDay(expiry)
	c := node.Totals{Contracts: -1, Size: -r.Size, Expired: lostBy(kind)}
	t.count(expiry, c)
	t.happened = append(t.happened, farmerEventRow{At: r.Expiry, Kind: string(kind), FileHash: r.FileHash, FaultID: fault})
	if kind == node.EventExpired {
		t.rate(expiry, func(e *node.Evidence) { e.AddMissed(expiry, span(r.Period), t.rules.HalfLife) })
	}
	if t.Contracts == 0 {
		t.note(moment(t.UpEnd), node.Totals{Online: -1})
	}
}

// lostBy returns how many contracts count as expired if one ends for this reason.
func lostBy(kind node.EventKind) int64 {
	if kind == node.EventVoid || kind == node.EventCompleted {
		return 0
	}
	return 1
}

// undoExpiry adds an expired contract to the counts again. The sweeper expired it
// before the verdict on a proof that was received in time. The row is that of
// endContract.
func (t *lockedToken) undoExpiry(r *contractRow) {
	if t.Contracts == 0 {
		t.note(moment(t.UpEnd), node.Totals{Online: 1})
	}
	expiry, kind := moment(r.Expiry), r.ending()
	t.count(expiry, node.Totals{Contracts: 1, Size: r.Size, Expired: -lostBy(kind)})
	t.happened = append(t.happened, farmerEventRow{At: r.Expiry, Kind: string(node.EventRestored), FileHash: r.FileHash})
	// A wrong proof may have come after the expiry, so the kind can have changed since.
	if lostBy(kind) > 0 {
		t.rate(expiry, func(e *node.Evidence) { e.UndoMissed() })
	}
}

// correct sets the counts to those of the live contracts, and reports whether they
// differed.
func (t *lockedToken) correct(now time.Time, live node.Totals) bool {
	missing := node.Totals{Contracts: live.Contracts - t.Contracts, Size: live.Size - t.Size}
	if missing == (node.Totals{}) {
		return false
	}
	if wasOnline, isOnline := t.Contracts > 0, live.Contracts > 0; wasOnline && !isOnline {
		missing.Online = -1
	} else if isOnline && !wasOnline {
		missing.Online = 1
	}
	t.rollDay(now)
	t.count(now, missing)
	return true
}

// removeAll subtracts the token's counts from the record, because the token is
// being deleted.
func (t *lockedToken) removeAll(now time.Time) {
	if t.Contracts > 0 {
		t.note(earlier(now, moment(t.UpEnd)), node.Totals{Online: -1})
	}
	t.note(now, node.Totals{Farmers: -1, Contracts: -t.Contracts, Size: -t.Size})
}

// extendUptime adds a contract's lifetime to the token's uptime. It also runs rollDay. In the record, a
// farmer is online from the start of its first contract. When its last contract is
// removed, the farmer goes offline at the end of its uptime.
func (t *lockedToken) extendUptime(from, until time.Time) {
	t.endStretch(from)
	t.rollDay(from)
	uptime := t.uptime()
	if t.Contracts == 0 || from.After(uptime.End) {
		if t.Contracts > 0 { // the contracts have expired, but are not removed yet
			t.note(uptime.End, node.Totals{Online: -1})
		}
		t.note(later(from, uptime.End), node.Totals{Online: 1})
	}
	// A late extension does not change an earlier day. If the farmer had been
	// offline on that day, the event that rolled the day would have begun a new
	// stretch.
	if from.After(uptime.End) {
		from = later(from, t.resume)
	}
	uptime.Extend(from, until)
	t.uptimeRow = uptimeOf(uptime)
}

// endStretch moves the end of the current stretch if lookForFault has found that it ends
// elsewhere, and from is after its end.
func (t *lockedToken) endStretch(from time.Time) {
	if t.stretchEnd.IsZero() || micros(from) <= t.UpEnd {
		return
	}
	if micros(t.stretchEnd) < t.UpEnd {
		t.leaveOut(t.stretchEnd, from)
	}
	t.UpEnd = max(micros(t.stretchEnd), t.UpStart)
	t.stretchEnd = time.Time{}
}

// count changes the token's totals and notes the event.
func (t *lockedToken) count(at time.Time, c node.Totals) {
	t.Contracts += c.Contracts
	t.Size += c.Size
	t.Heartbeats += c.Heartbeats
	t.Wrong += c.Wrong
	t.Expired += c.Expired
	if day := dayOf(at); day < t.Day {
		// The event belongs to an earlier day, not to the current day.
		t.amended = append(t.amended, amendment{day: day, Totals: c})
		t.DayHeartbeats += c.Heartbeats
		t.DayWrong += c.Wrong
	}
	t.note(at, c)
}

func (t *lockedToken) note(at time.Time, c node.Totals) { t.events = append(t.events, event{at, c}) }

// rollDay starts the day that contains at, if that day is later than the token's
// current day. The caller must run rollDay before an event of that day changes the
// counts.
func (t *lockedToken) rollDay(at time.Time) {
	day := dayOf(at)
	if day <= t.Day {
		return
	}
	if t.Day > 0 {
		t.closed = append(t.closed, t.days(dayStart(day))...)
	}
	online := t.uptime().Sum(dayStart(day)).Microseconds()
	t.openDay = openDay{Day: day, DayHeartbeats: t.Heartbeats, DayWrong: t.Wrong, DayOnline: online}
}

// leaveOut takes a fault out of the token's days: out of those that are over, and out of
// the start of the current day, which is the day of resume at the earliest. The caller
// must then move the token's uptime. Without leaveOut, the whole move would count for
// the day on which the token has its next event.
func (t *lockedToken) leaveOut(start, resume time.Time) {
	uptime := t.uptime()
	for day := dayOf(start); day < t.Day; day++ {
		from, to := later(dayStart(day), later(start, uptime.Start)), earlier(dayStart(day+1), earlier(resume, uptime.End))
		if online := to.Sub(from); online > 0 {
			t.amended = append(t.amended, amendment{day: day, online: -online})
			t.DayOnline -= online.Microseconds()
		}
	}
	t.UpEnd = min(t.UpEnd, micros(start))
	for day := t.Day + 1; day <= dayOf(resume); day++ { // one by one, because rollDay skips days without time online
		t.rollDay(dayStart(day))
	}
	t.uptimeRow = uptimeOf(uptime)
}

// days returns the token's days from the current day to the day of until. It stops
// at the first later day on which the farmer was not online.
func (t *tokenRow) days(until time.Time) []dayRow {
	uptime := t.uptime()
	row := dayRow{
		TokenID: t.ID, Day: t.Day,
		Heartbeats: t.Heartbeats - t.DayHeartbeats, Wrong: t.Wrong - t.DayWrong,
		Contracts: t.Contracts, Size: t.Size,
	}
	before := t.DayOnline
	var rows []dayRow
	for ; dayStart(row.Day).Before(until); row.Day++ {
		sum := uptime.Sum(earlier(dayStart(row.Day+1), until)).Microseconds()
		row.Online, before = max(0, sum-before), sum // a fault may have moved the uptime past the day's end
		if row.Online == 0 && row.Heartbeats == 0 && row.Wrong == 0 && row.Day > t.Day {
			break
		}
		rows = append(rows, row)
		row.Heartbeats, row.Wrong = 0, 0
	}
	return rows
}

// saveDays writes the tokens' days that are over, and the amendments to earlier
// days.
func saveDays(t *tx, tokens []*lockedToken) error {
	var closed []dayRow
	for _, token := range tokens {
		closed = append(closed, token.closed...)
	}
	if err := insert(t, dayTable, closed, ""); err != nil {
		return err
	}
	for _, token := range tokens {
		for _, a := range token.amended {
			// The levels at the ends of later days change too.
			err := t.exec("UPDATE farmer_days SET contracts = contracts + ?, size = size + ? WHERE token_id = ? AND day >= ?",
				a.Contracts, a.Size, token.ID, a.day)
			if err != nil {
				return err
			}
			err = t.exec("UPDATE farmer_days SET online = online + ?, heartbeats = heartbeats + ?, wrong = wrong + ? WHERE token_id = ? AND day = ?",
				a.online.Microseconds(), a.Heartbeats, a.Wrong, token.ID, a.day)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

const dayLength = 24 * time.Hour

// dayOf returns the number of UTC days since the Unix epoch.
func dayOf(t time.Time) int64 { return t.Unix() / int64(dayLength/time.Second) }

func dayStart(day int64) time.Time { return time.Unix(day*int64(dayLength/time.Second), 0).UTC() }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
