"""A counter, in Python. `pip install nats-py`, then `python3 counter.py`, beside
`tidegate --demo` or a NATS server with a gateway."""

import asyncio
import json
import os

import nats


async def main():
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    model = {"count": 0}

    async def serve(subject, answer):
        async def handle(request):
            await request.respond(json.dumps(await answer(request)).encode())

        await nc.subscribe(subject, cb=handle)

    async def access(_):
        return {"result": {"get": True, "call": "add"}}

    async def get(_):
        return {"result": {"model": model}}

    async def add(request):
        by = (json.loads(request.data).get("params") or {}).get("by", 1)
        if type(by) is not int:
            message = "by must be a whole number"
            return {"error": {"code": "system.invalidParams", "message": message}}
        model["count"] += by
        event = json.dumps({"values": model})
        await nc.publish("event.example.counter.change", event.encode())
        return {"result": model["count"]}

    await serve("access.example.counter", access)
    await serve("get.example.counter", get)
    await serve("call.example.counter.add", add)
    # Gateways that know the counter of an earlier run ask again.
    await nc.publish("system.reset", b'{"resources":["example.counter"]}')
    await nc.flush()
    print("serving example.counter", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
