"""Writes down what Alertmanager tells, a line for each alert: in place of the pager that you have."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Webhook(BaseHTTPRequestHandler):
    """Takes notifications on /page and /ticket."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for alert in json.loads(body)["alerts"]:
            labels, notes = alert["labels"], alert["annotations"]
            print(self.path.strip("/"), alert["status"], labels["alertname"], notes.get("summary"), notes.get("runbook_url"), sep=" | ")
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        """Says nothing of the requests themselves."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Webhook).serve_forever()
