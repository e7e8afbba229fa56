"""A receiver of Alertmanager's webhook: writes a line for each alert that it is told of."""

import http.server
import json


class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open("/tmp/alerts", "a") as file:
            for alert in told["alerts"]:
                labels = alert["labels"]
                print(alert["status"], labels["alertname"], labels.get("node"), labels.get("server"), file=file)
        self.send_response(200)
        self.end_headers()


http.server.HTTPServer(("127.0.0.1", 5001), Listener).serve_forever()
