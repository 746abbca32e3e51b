"""A server of gRPC without TLS, or calls of one: messages are bytes, so no compiler of protocols is needed.

    python grpc_app.py serve PORT
    python grpc_app.py call HOST:PORT CA_FILE NAME     runs one scenario, prints what came as JSON
"""

import json
import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "/echo.Echo/"


def say(request, context):
    told = dict(context.invocation_metadata())
    context.send_initial_metadata([("x-user", told.get("x-forwarded-user", "nobody"))])
    context.set_trailing_metadata([("x-length", str(len(request))), ("x-raw-bin", b"\x00\x01\xff")])
    return request


def fail(request, context):
    context.set_trailing_metadata([("x-why", "because")])
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it is Zoë's")


def count(request, context):
    for number in range(int(request)):
        yield str(number).encode()
        time.sleep(0.01)


def collect(requests, context):
    return str(sum(len(piece) for piece in requests)).encode()


def chat(requests, context):
    for request in requests:
        yield b"you said " + request


def hang(request, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"here"
    gone.wait()
    Hung.gone += 1


def gone(request, context):
    return str(Hung.gone).encode()


class Hung:
    gone = 0


HANDLERS = {
    "Say": grpc.unary_unary_rpc_method_handler(say),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Gone": grpc.unary_unary_rpc_method_handler(gone),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


class Service(grpc.GenericRpcHandler):
    def service(self, details):
        return HANDLERS.get(details.method.removeprefix(SERVICE))


def serve(port):
    server = grpc.server(futures.ThreadPoolExecutor(32), handlers=[Service()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


def unary(channel):
    answer, call = channel.unary_unary(SERVICE + "Say").with_call(b"x" * 100_000, timeout=20)
    return {
        "length": len(answer),
        "initial": dict(call.initial_metadata()).get("x-user"),
        "trailing": {name: repr(value) for name, value in call.trailing_metadata()},
    }


def status(channel, method="Fail"):
    try:
        channel.unary_unary(SERVICE + method)(b"", timeout=20)
    except grpc.RpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        return {"code": error.code().name, "details": error.details(), "why": trailing.get("x-why")}


def streams(channel):
    counted = list(channel.unary_stream(SERVICE + "Count")(b"20", timeout=20))
    pieces = (b"x" * 10_000 for _ in range(50))
    collected = channel.stream_unary(SERVICE + "Collect")(pieces, timeout=20)
    return {"counted": len(counted), "collected": int(collected)}


def full_duplex(channel):
    """Each message goes out only after the answer to the last one has come."""
    said = futures.Future()
    turns = [futures.Future() for _ in range(5)]

    def messages():
        for number, turn in enumerate(turns):
            turn.result(20)
            yield str(number).encode()

    heard = []
    turns[0].set_result(None)
    answers = channel.stream_stream(SERVICE + "Chat")(messages(), timeout=20)
    for number, answer in enumerate(answers):
        heard.append(answer.decode())
        if number + 1 < len(turns):
            turns[number + 1].set_result(None)
    said.set_result(None)
    return heard


def ends(channel):
    """A deadline and a call that is given up: both are the client's, and the server hears of both."""
    hanging = channel.unary_stream(SERVICE + "Hang")(b"", timeout=1)
    assert next(hanging) == b"here"
    try:
        next(hanging)
    except grpc.RpcError as error:
        late = error.code().name
    given_up = channel.unary_stream(SERVICE + "Hang")(b"", timeout=20)
    assert next(given_up) == b"here"
    given_up.cancel()
    for _ in range(200):
        gone = int(channel.unary_unary(SERVICE + "Gone")(b"", timeout=20))
        if gone >= 2:
            break
        time.sleep(0.05)
    return {"late": late, "gone": gone}


def many(channel):
    say = channel.unary_unary(SERVICE + "Say")
    calls = [say.future(str(number).encode(), timeout=20) for number in range(300)]
    return all(call.result() == str(number).encode() for number, call in enumerate(calls))


SCENARIOS = {
    "unary": unary,
    "status": status,
    "unknown": lambda channel: status(channel, "None"),
    "say": lambda channel: status(channel, "Say"),
    "streams": streams,
    "full_duplex": full_duplex,
    "ends": ends,
    "many": many,
}


def call(address, ca_file, scenario):
    with open(ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    options = [("grpc.enable_retries", 0)]
    with grpc.secure_channel(address, credentials, options) as channel:
        print(json.dumps(SCENARIOS[scenario](channel)))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        call(*sys.argv[2:])
