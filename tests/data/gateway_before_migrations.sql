BEGIN TRANSACTION;
CREATE TABLE audit (
	number INTEGER NOT NULL, 
	at VARCHAR(32) NOT NULL, 
	client VARCHAR(64) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	target VARCHAR(255) NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "audit" VALUES(1,'2026-11-28T06:39:40.207741+00:00','cli','key.create','86ea9a5b37fd','{"client": "operator", "scopes": ["operate", "score"], "slot": "primary"}');
INSERT INTO "audit" VALUES(2,'2026-11-28T06:39:40.266817+00:00','operator','endpoint.put','rides','{"deployments": {"blue": {"fleet": "rides", "settings": {"release": null, "retries": null, "timeout_seconds": null, "workers": null, "concurrency": null, "max_rejected_share": null}}}, "default": "blue"}');
INSERT INTO "audit" VALUES(3,'2026-11-28T06:39:40.277654+00:00','operator','subscription.put','app','{"url": "https://app.example.org/hooks/myriad", "events": ["job.completed", "job.failed", "job.cancelled", "release.promoted", "release.held", "alert.raised"], "endpoint": null}');
INSERT INTO "audit" VALUES(4,'2026-11-28T06:39:40.289583+00:00','operator','hook.put','landing','{"endpoint": "rides", "deployment": null, "verification": "key", "delivery": "job", "include": [], "debounce_seconds": 10.0, "sweep_seconds": 900, "overrides": {"release": null, "retries": null, "timeout_seconds": null, "workers": null, "concurrency": null, "max_rejected_share": null}}');
INSERT INTO "audit" VALUES(5,'2026-11-28T06:39:40.298108+00:00','operator','job.create','job-20261128T063940-2a13507f','{"endpoint": "rides", "deployment": "blue"}');
INSERT INTO "audit" VALUES(6,'2026-11-28T06:39:40.314608+00:00','operator','job.completed','job-20261128T063940-2a13507f','{"predictions": 9}');
INSERT INTO "audit" VALUES(7,'2026-11-28T06:39:40.319404+00:00','operator','job.create','job-20261128T063940-5a12c22e','{"endpoint": "rides", "deployment": "blue"}');
CREATE TABLE deliveries (
	number INTEGER NOT NULL, 
	subscription VARCHAR(64) NOT NULL, 
	message VARCHAR(128) NOT NULL, 
	body TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	attempts INTEGER NOT NULL, 
	due_at VARCHAR(32) NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (number), 
	UNIQUE (subscription, message)
);
INSERT INTO "deliveries" VALUES(1,'app','job-20261128T063940-2a13507f.completed','{"type": "job.completed", "timestamp": "2026-11-28T06:39:40.308086+00:00", "data": {"id": "job-20261128T063940-2a13507f", "endpoint": "rides", "deployment": "blue", "fleet": "rides", "state": "completed", "reason": "", "release": 3, "predictions": 9, "job": "/v1/batch/rides/jobs/job-20261128T063940-2a13507f"}}','waiting',0,'2026-11-28T06:39:40.308086+00:00','');
CREATE TABLE endpoints (
	name VARCHAR(64) NOT NULL, 
	definition TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "endpoints" VALUES('rides','{"deployments":{"blue":{"fleet":"rides","settings":{"release":null,"retries":null,"timeout_seconds":null,"workers":null,"concurrency":null,"max_rejected_share":null}}},"default":"blue"}',1,'2026-11-28T06:39:40.265107+00:00');
CREATE TABLE events (
	number INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	sent_at VARCHAR(32), 
	PRIMARY KEY (number), 
	UNIQUE (id)
);
INSERT INTO "events" VALUES(1,'event-1','{"inputs": []}','2026-11-28T06:39:40.322728+00:00',NULL);
CREATE TABLE files (
	hook VARCHAR(64) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	uri TEXT NOT NULL, 
	received_at VARCHAR(32) NOT NULL, 
	job VARCHAR(64), 
	PRIMARY KEY (hook, "key")
);
CREATE TABLE hooks (
	name VARCHAR(64) NOT NULL, 
	definition TEXT NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "hooks" VALUES('landing','{"endpoint":"rides","deployment":null,"verification":"key","delivery":"job","include":[],"debounce_seconds":10.0,"sweep_seconds":900,"overrides":{"release":null,"retries":null,"timeout_seconds":null,"workers":null,"concurrency":null,"max_rejected_share":null}}','2026-11-28T06:39:40.288624+00:00');
CREATE TABLE jobs (
	number INTEGER NOT NULL, 
	id VARCHAR(64) NOT NULL, 
	endpoint VARCHAR(64) NOT NULL, 
	deployment VARCHAR(64) NOT NULL, 
	fleet VARCHAR(64) NOT NULL, 
	client VARCHAR(64) NOT NULL, 
	idempotency_key VARCHAR(255), 
	digest VARCHAR(64) NOT NULL, 
	request TEXT NOT NULL, 
	settings TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	flow_run_id VARCHAR(64), 
	progress TEXT, 
	account TEXT, 
	cancel BOOLEAN NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	started_at VARCHAR(32), 
	finished_at VARCHAR(32), 
	PRIMARY KEY (number), 
	UNIQUE (endpoint, client, idempotency_key), 
	UNIQUE (id)
);
INSERT INTO "jobs" VALUES(1,'job-20261128T063940-2a13507f','rides','blue','rides','operator','one','87c03d23c6903ed0294d8e65e5a95fd4','{"inputs":[],"deployment":null,"overrides":{"release":null,"retries":null,"timeout_seconds":null,"workers":null,"concurrency":null,"max_rejected_share":null},"output":{"format":"csv","folder":null}}','{}','completed','',0,'job-20261128T063940-2a13507f-0','{"stage": "score", "percent": 100.0}','{
  "fleet": "rides",
  "run_id": "job-20261128T063940-2a13507f",
  "job_id": "rides-123",
  "release": 3,
  "task": "regression",
  "rows": 9,
  "segments": 2,
  "statuses": {
    "ok": 9
  },
  "levels": {
    "": 9
  },
  "repeated": false,
  "inputs": [
    {
      "uri": "today/a.csv",
      "input_id": "abc",
      "read": 10,
      "accepted": 9,
      "quarantined": 1,
      "predictions": 9,
      "statuses": {
        "ok": 9
      },
      "error": ""
    }
  ]
}
',0,'2026-11-28T06:39:40.294022+00:00','2026-11-28T06:39:40.308086+00:00','2026-11-28T06:39:40.308086+00:00');
INSERT INTO "jobs" VALUES(2,'job-20261128T063940-5a12c22e','rides','blue','rides','operator','two','87c03d23c6903ed0294d8e65e5a95fd4','{"inputs":[],"deployment":null,"overrides":{"release":null,"retries":null,"timeout_seconds":null,"workers":null,"concurrency":null,"max_rejected_share":null},"output":{"format":"csv","folder":null}}','{}','queued','',0,NULL,NULL,NULL,0,'2026-11-28T06:39:40.317353+00:00',NULL,NULL);
CREATE TABLE keys (
	prefix VARCHAR(16) NOT NULL, 
	client VARCHAR(64) NOT NULL, 
	slot VARCHAR(16) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	scopes TEXT NOT NULL, 
	endpoints TEXT NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	expires_at VARCHAR(32), 
	revoked_at VARCHAR(32), 
	PRIMARY KEY (prefix)
);
INSERT INTO "keys" VALUES('86ea9a5b37fd','operator','primary','f58dcf116cd6704104072c45eb0e51514fc47a52e9958c81270c241ddcf6a0b5','["operate", "score"]','[]','2026-11-28T06:39:40.202561+00:00',NULL,NULL);
CREATE TABLE messages (
	hook VARCHAR(64) NOT NULL, 
	id VARCHAR(255) NOT NULL, 
	received_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (hook, id)
);
INSERT INTO "messages" VALUES('landing','cf4e2182ac56c2b1f854442ccc22f0ac','2026-11-28T06:39:40.321368+00:00');
CREATE TABLE subscriptions (
	name VARCHAR(64) NOT NULL, 
	definition TEXT NOT NULL, 
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "subscriptions" VALUES('app','{"url":"https://app.example.org/hooks/myriad","events":["job.completed","job.failed","job.cancelled","release.promoted","release.held","alert.raised"],"endpoint":null}','2026-11-28T06:39:40.276720+00:00');
CREATE INDEX ix_jobs_state ON jobs (state);
CREATE INDEX ix_jobs_endpoint ON jobs (endpoint);
CREATE INDEX ix_messages_received_at ON messages (received_at);
CREATE INDEX ix_files_job ON files (job);
CREATE INDEX ix_events_sent_at ON events (sent_at);
CREATE INDEX ix_deliveries_state ON deliveries (state);
COMMIT;
