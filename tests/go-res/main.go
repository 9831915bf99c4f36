// Command go-res is the service of a small league, written with the go-res package.
//
// league.players is a query collection of the players, best first. Its query takes
// team, from and limit in any order, and by, which says how queries that are asked after
// a query event are answered: by=events with the events that lead from the old list to
// the new one, by=collection with the new list. league.player.<id> are the players.
//
// Everybody may read, set scores and add players. Only the referee, who logs in with
// auth.league.login, may delete them.
package main

import (
	"fmt"
	"log"
	"net/url"
	"os"
	"sort"
	"strconv"

	res "github.com/jirenius/go-res"
)

// All handlers run in one group, one after the other, so that nothing needs a lock.
const group = "league"

type player struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Team  string `json:"team"`
	Score int    `json:"score"`
}

type window struct {
	team        string
	from, limit int
	by          string
}

var (
	players = map[string]*player{}
	lastID  int
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go-res nats://host:port")
	}
	for _, p := range []player{
		{Name: "Ada", Team: "red", Score: 90},
		{Name: "Bob", Team: "blue", Score: 80},
		{Name: "Cleo", Team: "red", Score: 70},
		{Name: "Dan", Team: "blue", Score: 60},
		{Name: "Eve", Team: "red", Score: 50},
		{Name: "Flo", Team: "blue", Score: 40},
		{Name: "Gus", Team: "red", Score: 30},
		{Name: "Hal", Team: "blue", Score: 20},
	} {
		insert(p)
	}

	s := res.NewService("league")
	s.SetOnServe(func(*res.Service) { fmt.Println("serving") })
	s.Handle("players",
		res.Group(group),
		res.Access(access),
		res.GetCollection(getPlayers),
		res.Call("new", newPlayer))
	s.Handle("player.$id",
		res.Group(group),
		res.Access(access),
		res.GetModel(getPlayer),
		res.Set(setPlayer),
		res.Call("delete", deletePlayer))
	s.Handle("",
		res.Group(group),
		res.Auth("login", login))
	if err := s.ListenAndServe(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

func access(r res.AccessRequest) {
	var token struct {
		Referee bool `json:"referee"`
	}
	if r.RawToken() != nil {
		r.ParseToken(&token)
	}
	if token.Referee {
		r.AccessGranted()
	} else {
		r.Access(true, "new,set")
	}
}

func login(r res.AuthRequest) {
	var params struct {
		Whistle string `json:"whistle"`
	}
	r.ParseParams(&params)
	if params.Whistle != "loud" {
		r.InvalidParams("That is no whistle")
		return
	}
	r.TokenEvent(map[string]bool{"referee": true})
	r.OK(nil)
}

func getPlayer(r res.ModelRequest) {
	if p, ok := players[r.ResourceName()]; ok {
		r.Model(p)
	} else {
		r.NotFound()
	}
}

func getPlayers(r res.CollectionRequest) {
	if r.Query() == "" {
		r.Collection(window{limit: -1}.of(ranking()))
		return
	}
	w, err := parseWindow(r.Query())
	if err != nil {
		r.InvalidQuery(err.Error())
		return
	}
	r.QueryCollection(w.of(ranking()), w.query())
}

func newPlayer(r res.CallRequest) {
	var p player
	r.ParseParams(&p)
	if p.Name == "" || p.Team == "" {
		r.InvalidParams("A player needs a name and a team")
		return
	}
	before := ranking()
	rid := insert(p)
	tellPlayers(r.Service(), before)
	r.Resource(rid)
}

func setPlayer(r res.CallRequest) {
	p, ok := players[r.ResourceName()]
	if !ok {
		r.NotFound()
		return
	}
	var params struct {
		Team  *string `json:"team"`
		Score *int    `json:"score"`
	}
	r.ParseParams(&params)
	before := ranking()
	changed := map[string]interface{}{}
	if params.Team != nil && *params.Team != p.Team {
		p.Team = *params.Team
		changed["team"] = p.Team
	}
	if params.Score != nil && *params.Score != p.Score {
		p.Score = *params.Score
		changed["score"] = p.Score
	}
	if len(changed) > 0 {
		r.ChangeEvent(changed)
		tellPlayers(r.Service(), before)
	}
	r.OK(nil)
}

func deletePlayer(r res.CallRequest) {
	if _, ok := players[r.ResourceName()]; !ok {
		r.NotFound()
		return
	}
	before := ranking()
	delete(players, r.ResourceName())
	tellPlayers(r.Service(), before)
	r.OK(nil)
}

// tellPlayers sends the events of league.players for a change of the ranking.
func tellPlayers(s *res.Service, before []player) {
	after := ranking()
	list, err := s.Resource("league.players")
	if err != nil {
		log.Fatal(err)
	}
	// For those who subscribe without a query.
	difference(list, window{limit: -1}, before, after)
	list.QueryEvent(func(r res.QueryRequest) {
		// The last call, without a request, says that the time for queries is over.
		if r == nil {
			return
		}
		w, err := parseWindow(r.Query())
		if err != nil {
			r.InvalidQuery(err.Error())
			return
		}
		if w.by == "events" {
			difference(r, w, before, after)
		} else {
			r.Collection(w.of(after))
		}
	})
}

type eventSink interface {
	AddEvent(value interface{}, idx int)
	RemoveEvent(idx int)
}

// difference sends the events that lead a window from one ranking to another: what is
// not common to both ends is replaced.
func difference(sink eventSink, w window, before, after []player) {
	old, now := w.of(before), w.of(after)
	start := 0
	for start < len(old) && start < len(now) && old[start] == now[start] {
		start++
	}
	end := 0
	for end < len(old)-start && end < len(now)-start && old[len(old)-1-end] == now[len(now)-1-end] {
		end++
	}
	for i := len(old) - end - 1; i >= start; i-- {
		sink.RemoveEvent(i)
	}
	for i := start; i < len(now)-end; i++ {
		sink.AddEvent(now[i], i)
	}
}

func insert(p player) string {
	lastID++
	p.ID = lastID
	rid := fmt.Sprintf("league.player.%d", p.ID)
	players[rid] = &p
	return rid
}

// ranking returns the players as they are now, best first.
func ranking() []player {
	list := make([]player, 0, len(players))
	for _, p := range players {
		list = append(list, *p)
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].Score != list[j].Score {
			return list[i].Score > list[j].Score
		}
		return list[i].ID < list[j].ID
	})
	return list
}

func (w window) of(ranking []player) []res.Ref {
	refs := []res.Ref{}
	skip := w.from
	for _, p := range ranking {
		if w.team != "" && p.Team != w.team {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if w.limit >= 0 && len(refs) == w.limit {
			break
		}
		refs = append(refs, res.Ref(fmt.Sprintf("league.player.%d", p.ID)))
	}
	return refs
}

func (w window) query() string {
	return fmt.Sprintf("team=%s&from=%d&limit=%d&by=%s", url.QueryEscape(w.team), w.from, w.limit, w.by)
}

func parseWindow(query string) (window, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return window{}, err
	}
	w := window{team: values.Get("team"), limit: 10, by: values.Get("by")}
	for name, field := range map[string]*int{"from": &w.from, "limit": &w.limit} {
		if text := values.Get(name); text != "" {
			if *field, err = strconv.Atoi(text); err != nil || *field < 0 || *field > 50 {
				return window{}, fmt.Errorf("%s must be a number from 0 to 50", name)
			}
		}
	}
	switch w.by {
	case "":
		w.by = "events"
	case "events", "collection":
	default:
		return window{}, fmt.Errorf("by must be events or collection")
	}
	return w, nil
}
