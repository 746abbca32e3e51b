"""An app that speaks WebSocket by the `websockets` library: says back what it is told, and does as asked."""

import asyncio
import sys

from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def answer(socket, message):
    words = message.split(' ', 2) if isinstance(message, str) else []
    match words:
        case ['close', code, reason]:
            await socket.close(int(code), reason)
        case ['drop']:
            socket.transport.abort()
        case ['fragments', count]:
            await socket.send(f'{number};' for number in range(int(count)))
        case ['ping']:
            await (await socket.ping(b'from the app'))
            await socket.send('ponged')
        case ['who']:
            await socket.send(socket.request.headers.get('X-Forwarded-User', 'nobody'))
        case _:
            await socket.send(message)


async def handle(socket):
    try:
        async for message in socket:
            await answer(socket, message)
    except ConnectionClosed:
        pass


async def main(port):
    options = {'max_size': 20 * 1024 * 1024, 'ping_interval': None, 'subprotocols': ['echo.v1']}
    async with serve(handle, '127.0.0.1', port, **options):
        print('ready:', port, flush=True)
        await asyncio.get_running_loop().create_future()


asyncio.run(main(int(sys.argv[1])))
