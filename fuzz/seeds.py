"""Where fuzzing starts: messages that say something, and the words they are made of."""

# ruff: noqa: E501 -- a message is a line

SEEDS: dict[str, tuple[bytes, ...]] = {
    "requests": (
        b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: b\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        b"GET http://b:80/ HTTP/1.1\r\nHost: b\r\nConnection: close, X\r\nX: 1\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\nGET GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 5,
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" * 3,
    ),
    "responses": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nConnection: close, x\r\nX: 1\r\nDate: now\r\n\r\nuntil the end",
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nbytes",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 429 Slow Down\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    ),
    "events": (
        b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
        b': hi\n\ndata: {"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}\r\n\r\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]',
        b'data: {"choices":[{"index":0,"text":"a","finish_reason":null},{"index":1,"text":"b","finish_reason":"stop"}]}\n\n',
        b'event: error\ndata: {"error":{"message":"x"}}\n\n',
        b'id: 1\nretry: 3\ndata: {"error":null,\ndata: "choices":[]}\n\n',
    ),
}
TOKENS: dict[str, tuple[bytes, ...]] = {
    "requests": (
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\r",
            b"\n",
            b" ",
            b"\t",
            b"\0",
            b":",
            b";",
            b",",
            b"\r\n ",
            b"0\r\n\r\n",
            b"HTTP/1.1",
        ),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: a\r\n", b"Connection: close\r\n"),
        *(
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: websocket\r\n",
            b"Upgrade: h2c\r\n",
        ),
        *(b"Connection: upgrade\r\n", b"HTTP/1.0", b"POST", b"HEAD", b"CONNECT", b"http://a/", b"chunked", b"ffffffff"),
    ),
    "responses": (
        *(
            b"\r\n",
            b"\r\n\r\n",
            b"\r",
            b"\n",
            b" ",
            b"\0",
            b":",
            b"\r\n ",
            b"0\r\n\r\n",
            b"HTTP/1.1 ",
            b"HTTP/1.0 ",
            b"200",
        ),
        *(b"100", b"101", b"103", b"204", b"304", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(
            b"Connection: close\r\n",
            b"Connection: x\r\n",
            b"Upgrade: websocket\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"ffffffff",
        ),
    ),
    "events": (
        *(
            b"\n\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"data: ",
            b"data:",
            b": ",
            b"event: error\n",
            b"data: [DONE]\n\n",
            b"[DONE]",
        ),
        *(
            b'"finish_reason":null',
            b'"finish_reason":"stop"',
            b'"error":{}',
            b'"usage":{"prompt_tokens":1}',
            b'"index":1',
        ),
        *(b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}', b"null", b"[]", b"{}", b'"'),
    ),
}
