"""A server of the prefork kind: it loads everything, then forks workers, which each
write to some of it."""

import email.parser
import http.server
import json
import os
import signal
import sqlite3
import xml.dom.minidom

modules = [email.parser, http.server, json, sqlite3, xml.dom.minidom]
cache = {n: f"template {n}" * 20 for n in range(3000)}

for worker in range(3):
    if os.fork() == 0:
        for n in range(0, 3000, 7 + worker):
            cache[n] = f"answer of {worker} to {n}" * 20
        session = [bytes([n % 5]) * 4096 for n in range(200)]
        os.kill(os.getpid(), signal.SIGSTOP)

os.kill(os.getpid(), signal.SIGSTOP)
