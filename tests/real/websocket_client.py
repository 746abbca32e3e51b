"""Says the same to an app over one of three ways and prints, as JSON, what came back, case by case.

    websocket_client.py direct ADDRESS
    websocket_client.py http1 ADDRESS CA
    websocket_client.py http2 ADDRESS CA

Frames are made by hand, so that they can be wrong (RFC 6455 5).
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import zlib

import h2.config
import h2.connection
import h2.events
import h2.settings

PATIENCE = 30
PATH = '/ws/echo'
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MEBIBYTE = 1024 * 1024


class Bytes:
    """A plain connection behind its handshake over HTTP/1.1."""

    def __init__(self, way, address, ca):
        host, port = address.rsplit(':', 1)
        self.io = socket.create_connection((host, int(port)), PATIENCE)
        if way == 'http1':
            context = ssl.create_default_context(cafile=ca)
            context.set_alpn_protocols(['http/1.1'])
            self.io = context.wrap_socket(self.io, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = [('Host', address), ('Connection', 'Upgrade'), ('Upgrade', 'websocket'), ('Sec-WebSocket-Key', key)]
        fields += handshake(address)
        head = f'GET {PATH} HTTP/1.1\r\n' + ''.join(f'{name}: {value}\r\n' for name, value in fields)
        self.io.sendall(head.encode() + b'\r\n')
        answer = b''
        while not answer.endswith(b'\r\n\r\n'):
            answer += self.io.recv(1)
        lines = answer.decode().lower().split('\r\n')
        self.status = int(lines[0].split(' ')[1])
        self.fields = dict(line.split(': ', 1) for line in lines[1:] if line)
        if self.status != 101:
            raise SystemExit(answer.decode())
        accept = hashlib.sha1(f'{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11'.encode()).digest()
        if self.fields['sec-websocket-accept'] != base64.b64encode(accept).decode().lower():
            raise SystemExit('this is no answer to the key')

    def send(self, data):
        self.io.sendall(data)

    def recv(self):
        try:
            return self.io.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            return b''

    def close(self):
        self.io.close()


class Stream:
    """A stream of HTTP/2 (RFC 8441)."""

    def __init__(self, way, address, ca):
        host, port = address.rsplit(':', 1)
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(['h2'])
        self.io = context.wrap_socket(socket.create_connection((host, int(port)), PATIENCE), server_hostname=host)
        config = h2.config.H2Configuration(client_side=True, header_encoding='utf-8')
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.data, self.status, self.is_over = b'', None, False
        enabled = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
        self.flush()
        while not self.connection.remote_settings.get(enabled):
            self.more()
        self.stream = self.connection.get_next_available_stream_id()
        fields = [(':method', 'CONNECT'), (':protocol', 'websocket'), (':scheme', 'https'), (':path', PATH), (':authority', address)]
        fields += [(name.lower(), value) for name, value in handshake(address)]
        self.connection.send_headers(self.stream, fields)
        self.flush()
        while self.status is None:
            self.more()
        if self.status != 200:
            raise SystemExit(f'{self.status} {self.fields}')

    def flush(self):
        self.io.sendall(self.connection.data_to_send())

    def more(self):
        came = self.io.recv(65536)
        if not came:
            self.is_over = True
            return
        for event in self.connection.receive_data(came):
            match event:
                case h2.events.ResponseReceived():
                    self.fields = {name: value.lower() for name, value in event.headers}
                    self.status = int(self.fields[':status'])
                case h2.events.DataReceived():
                    self.data += event.data
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded() | h2.events.StreamReset() | h2.events.ConnectionTerminated():
                    self.is_over = True
        self.flush()

    def send(self, data):
        while data and not self.is_over:
            room = min(self.connection.local_flow_control_window(self.stream), self.connection.max_outbound_frame_size)
            if room == 0:
                self.more()
                continue
            self.connection.send_data(self.stream, data[:room])
            data = data[room:]
            self.flush()

    def recv(self):
        while not self.data and not self.is_over:
            self.more()
        data, self.data = self.data, b''
        return data

    def close(self):
        self.io.close()


def handshake(address):
    scheme = 'http' if WAY == 'direct' else 'https'
    return [
        ('Origin', f'{scheme}://{address}'),
        ('Sec-WebSocket-Version', '13'),
        ('Sec-WebSocket-Protocol', 'other, echo.v1'),
        ('Sec-WebSocket-Extensions', 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'),
    ]


def frame(opcode, payload=b'', fin=True, masked=True, rsv=0):
    length = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if length < 126:
        head += bytes([mask_bit | length])
    elif length < 65536:
        head += struct.pack('>BH', mask_bit | 126, length)
    else:
        head += struct.pack('>BQ', mask_bit | 127, length)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, 'big') ^ int.from_bytes(repeated, 'big')
    return head + mask + mixed.to_bytes(length, 'big')


def close(code, reason=b''):
    return frame(CLOSE, struct.pack('>H', code) + reason)


def deflated(payload):
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def frames(connection):
    """What the other side says, frame by frame; the end is None."""
    data = b''

    def need(count):
        nonlocal data
        pieces = [data]
        held = len(data)
        while held < count:
            piece = connection.recv()
            if not piece:
                return False
            pieces.append(piece)
            held += len(piece)
        data = b''.join(pieces)
        return True

    while need(2):
        first, length, start = data[0], data[1] & 127, 2
        if length == 126:
            need(4)
            length, start = struct.unpack('>H', data[2:4])[0], 4
        elif length == 127:
            need(10)
            length, start = struct.unpack('>Q', data[2:10])[0], 10
        if not need(start + length):
            break
        payload, data = data[start:start + length], data[start + length:]
        yield first, payload
    yield None


def shown(said):
    if said is None:
        return 'end'
    first, payload = said
    opcode, fin, rsv = first & 15, first >> 7, first >> 4 & 7
    if rsv & 4:
        payload = zlib.decompressobj(wbits=-15).decompress(payload + b'\x00\x00\xff\xff') if fin else payload
    if opcode == CLOSE:
        code = struct.unpack('>H', payload[:2])[0] if payload else None
        return ['close', code, payload[2:].decode()]
    digest = hashlib.sha256(payload).hexdigest()[:16]
    return [opcode, fin, rsv, len(payload), digest]


ALWAYS = list(range(125, 128)) + [65535, 65536, 70000]
LARGE = bytes(range(256)) * (16 * MEBIBYTE // 256)

# What is said, and how many frames are waited for; none: until the end.
CASES = {
    'text': ([frame(TEXT, 'hällo'.encode())], 1),
    'binary': ([frame(BINARY, bytes(range(256)))], 1),
    'empty': ([frame(TEXT), frame(BINARY)], 2),
    'lengths': ([frame(BINARY, b'x' * length) for length in ALWAYS], len(ALWAYS)),
    'sixteen mebibytes': ([frame(BINARY, LARGE)], 1),
    'sixteen mebibytes in fragments': (
        [frame(BINARY if at == 0 else 0, LARGE[at:at + MEBIBYTE], fin=at == 15 * MEBIBYTE)
         for at in range(0, 16 * MEBIBYTE, MEBIBYTE)], 1),
    'byte by byte': ([bytes([byte]) for byte in frame(TEXT, b'slowly')], 1),
    'many small ones': ([frame(TEXT, str(number).encode()) for number in range(2000)], 2000),
    'many in one piece': ([b''.join(frame(TEXT, str(number).encode()) for number in range(2000))], 2000),
    'fragments with a ping between': (
        [frame(TEXT, b'one,', fin=False), frame(PING, b'still there?'), frame(0, b'two,', fin=False), frame(0, b'three')], 2),
    'fragments of the app': ([frame(TEXT, b'fragments 5')], 6),
    'ping': ([frame(PING, b'x' * 125), frame(PING)], 2),
    'pong nobody asked for': ([frame(PONG, b'x'), frame(TEXT, b'after')], 1),
    'deflated': ([frame(TEXT, deflated(b'again and ' * 1000), rsv=4), frame(BINARY, deflated(LARGE), rsv=4)], 2),
    'deflated in fragments': ([frame(TEXT, deflated(b'z' * 999)[:5], fin=False, rsv=4), frame(0, deflated(b'z' * 999)[5:])], 1),
    'looks like HTTP': ([frame(TEXT, b'GET /admin HTTP/1.1\r\nHost: x\r\n\r\n')], 1),
    'who': ([frame(TEXT, b'who')], 1),
    'drop': ([frame(TEXT, b'drop')], None),
    'not deflated at all': ([frame(TEXT, b'\xff\xff\xff', rsv=4)], None),
    'reserved bit': ([frame(TEXT, b'x', rsv=2)], None),
    'unknown opcode': ([frame(3, b'x')], None),
    'unknown control': ([frame(11, b'x')], None),
    'not masked': ([frame(TEXT, b'x', masked=False)], None),
    'continues nothing': ([frame(0, b'x')], None),
    'begins twice': ([frame(TEXT, b'x', fin=False), frame(TEXT, b'y')], None),
    'ping in fragments': ([frame(PING, b'x', fin=False)], None),
    'long ping': ([frame(PING, b'x' * 126)], None),
    'no UTF-8': ([frame(TEXT, b'\xc3\x28')], None),
    'no UTF-8 across fragments': ([frame(TEXT, b'\xc3', fin=False), frame(0, b'\x28')], None),
    'too large': ([frame(BINARY, LARGE, fin=False), frame(0, LARGE)], None),
    'close without a code': ([frame(CLOSE)], None),
    'half a code': ([frame(CLOSE, b'\x03')], None),
    'no reason in UTF-8': ([close(1000, b'\xff')], None),
    'after the close': ([close(1000) + frame(TEXT, b'more')], None),
}
for code in [1000, 1001, 1003, 1007, 1011, 3000, 4999, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000]:
    CASES[f'close {code}'] = ([close(code, b'bye')], None)
for code in [1000, 1001, 1008, 1011, 3999, 4001]:
    CASES[f'app closes {code}'] = ([frame(TEXT, f'close {code} so it is'.encode())], None)


def verdict(address, ca, said, count):
    connection = (Stream if WAY == 'http2' else Bytes)(WAY, address, ca)
    verdict = [[connection.fields.get('sec-websocket-protocol'), connection.fields.get('sec-websocket-extensions')]]
    try:
        try:
            for piece in said:
                connection.send(piece)
        except (ConnectionError, ssl.SSLError):
            pass
        for heard in frames(connection):
            is_ping = heard is not None and heard[0] & 15 == PING
            verdict.append(shown(heard))
            if is_ping:
                connection.send(frame(PONG, heard[1]))
            if heard is None or len(verdict) - 1 == count:
                break
            if heard[0] & 15 == CLOSE and not said[0].startswith(b'\x88'):
                connection.send(frame(CLOSE, heard[1]))
    finally:
        connection.close()
    return verdict


WAY, ADDRESS = sys.argv[1:3]
CA = sys.argv[3] if len(sys.argv) > 3 else None
print(json.dumps({name: verdict(ADDRESS, CA, said, count) for name, (said, count) in CASES.items()}))
