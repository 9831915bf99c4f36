// A counter, in Go. `go run .`, beside `tidegate --demo` or a NATS server with a gateway.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/nats-io/nats.go"
)

func main() {
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	// One request after the other: so events and answers have one order.
	requests := make(chan *nats.Msg, 256)
	for _, subject := range []string{"access", "get", "call"} {
		name := subject + ".example.counter"
		if subject == "call" {
			name += ".add"
		}
		if _, err := nc.ChanSubscribe(name, requests); err != nil {
			log.Fatal(err)
		}
	}
	// Gateways that know the counter of an earlier run ask again.
	nc.Publish("system.reset", []byte(`{"resources":["example.counter"]}`))
	fmt.Println("serving example.counter")
	count := 0
	for request := range requests {
		switch request.Subject {
		case "access.example.counter":
			request.Respond([]byte(`{"result":{"get":true,"call":"add"}}`))
		case "get.example.counter":
			request.Respond([]byte(fmt.Sprintf(`{"result":{"model":{"count":%d}}}`, count)))
		default:
			var call struct{ Params struct{ By *int } }
			if json.Unmarshal(request.Data, &call) != nil {
				request.Respond([]byte(`{"error":{"code":"system.invalidParams","message":"by must be a whole number"}}`))
				continue
			}
			if call.Params.By == nil {
				call.Params.By = new(int)
				*call.Params.By = 1
			}
			count += *call.Params.By
			event := fmt.Sprintf(`{"values":{"count":%d}}`, count)
			nc.Publish("event.example.counter.change", []byte(event))
			request.Respond([]byte(fmt.Sprintf(`{"result":%d}`, count)))
		}
	}
}
