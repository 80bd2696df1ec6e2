#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes dashboard.json, Grafana's dashboard, beside itself: one short list of panels here
instead of a thousand lines by hand.  With --check: fails if the file is another."""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "${source}"}
CHOSEN = '{instance=~"$instance",tenant=~"$tenant"}'
HOST = '{instance=~"$instance"}'

# (title, unit, what it is, [(expression, legend)])
STATS = [
    ("Daemon", "bool_on_off", "Whether gpu_mediator answers.", [(f"min(vgpu_up{HOST})", "up")]),
    ("Open to everybody", "bool_on_off", "It should be off.",
     [(f"max(vgpu_open_mode{HOST})", "open")]),
    ("Sessions", "short", "Of all tenants.", [(f"sum(vgpu_sessions{HOST})", "sessions")]),
    ("Audit lines lost", "short", "It should be 0.",
     [(f"sum(vgpu_audit_lost_lines_total{HOST})", "lost")]),
]
GRAPHS = [
    ("GPU time", "percentunit", "Share of one GPU's time that each tenant used.",
     [(f"rate(vgpu_tenant_gpu_seconds_total{CHOSEN}[$__rate_interval])", "{{tenant}}")]),
    ("GPU memory", "bytes", "What each tenant has; the limit beside it.",
     [(f"vgpu_tenant_memory_bytes{CHOSEN}", "{{tenant}}"),
      (f"vgpu_tenant_memory_limit_bytes{CHOSEN}", "{{tenant}} (limit)")]),
    ("Calls", "reqps", "Requests a second.",
     [(f"rate(vgpu_tenant_calls_total{CHOSEN}[$__rate_interval])", "{{tenant}}")]),
    ("Launches", "reqps", "Kernels and graphs a second.",
     [(f"rate(vgpu_tenant_launches_total{CHOSEN}[$__rate_interval])", "{{tenant}}")]),
    ("Data", "Bps", "Payload to and from the device; of it, copied by a CPU of the host.",
     [(f"rate(vgpu_tenant_transferred_bytes_total{CHOSEN}[$__rate_interval])", "{{tenant}}"),
      (f"rate(vgpu_tenant_host_copied_bytes_total{CHOSEN}[$__rate_interval])",
       "{{tenant}} (copied)")]),
    ("Waiting", "percentunit", "Time that sessions waited because of a rate, a cap or a turn.",
     [(f"rate(vgpu_tenant_throttled_seconds_total{CHOSEN}[$__rate_interval])", "{{tenant}}")]),
    ("Sessions", "short", "What each tenant has; the limit beside it.",
     [(f"vgpu_tenant_sessions{CHOSEN}", "{{tenant}}"),
      (f"vgpu_tenant_sessions_limit{CHOSEN}", "{{tenant}} (limit)")]),
    ("Refused", "short", "In five minutes, by reason.",
     [(f"increase(vgpu_tenant_refused_total{CHOSEN}[5m])", "{{tenant}}: {{reason}}"),
      (f"increase(vgpu_tenant_operations_refused_total{CHOSEN}[5m])", "{{tenant}}: operations"),
      (f"increase(vgpu_tenant_limit_reached_total{CHOSEN}[5m])", "{{tenant}}: at {{reason}}"),
      (f"increase(vgpu_connections_refused_total{HOST}[5m])", "nobody's: {{reason}}")]),
    ("Faults, evictions and quarantines", "short", "In five minutes.",
     [(f"increase(vgpu_tenant_faults_total{CHOSEN}[5m])", "{{tenant}}: {{reason}}"),
      (f"increase(vgpu_tenant_evictions_total{CHOSEN}[5m])", "{{tenant}} evicted"),
      (f"increase(vgpu_tenant_quarantines_total{CHOSEN}[5m])", "{{tenant}} quarantined"),
      (f"vgpu_tenant_quarantined{CHOSEN} > 0", "{{tenant}} is quarantined")]),
    ("Audit log", "short", "Lines a second.",
     [(f"rate(vgpu_audit_lines_total{HOST}[$__rate_interval])", "{{instance}}"),
      (f"rate(vgpu_audit_left_out_lines_total{HOST}[$__rate_interval])",
       "{{instance}} left out")]),
]


def panel(number, kind, place, spec):
    title, unit, description, targets = spec
    return {"id": number, "type": kind, "title": title, "description": description,
            "datasource": SOURCE, "gridPos": place,
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression,
                         "legendFormat": legend} for i, (expression, legend) in enumerate(targets)]}


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "query": query,
            "refresh": 2, "multi": True, "includeAll": True, "allValue": ".*",
            "current": {"text": "All", "value": "$__all"}}


def dashboard():
    panels = [panel(i + 1, "stat", {"x": 6 * i, "y": 0, "w": 6, "h": 4}, spec)
              for i, spec in enumerate(STATS)]
    panels += [panel(len(STATS) + i + 1, "timeseries",
                     {"x": 12 * (i % 2), "y": 4 + 8 * (i // 2), "w": 12, "h": 8}, spec)
               for i, spec in enumerate(GRAPHS)]
    return {"title": "gpu_mediator", "uid": "gpu-mediator", "tags": ["gpu"], "editable": True,
            "schemaVersion": 38, "version": 1, "refresh": "10s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {"list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"},
                variable("instance", "Host", "label_values(vgpu_up, instance)"),
                variable("tenant", "Tenant",
                         'label_values(vgpu_tenant_sessions{instance=~"$instance"}, tenant)')]},
            "panels": panels}


def main(argv):
    text = json.dumps(dashboard(), indent=2) + "\n"
    path = HERE / "dashboard.json"
    if argv[1:] == ["--check"]:
        return 0 if path.read_text(encoding="utf-8") == text else "dashboard.json: run make-dashboard.py"
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
