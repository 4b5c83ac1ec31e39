BEGIN TRANSACTION;
CREATE TABLE abuse_signals (
	kind VARCHAR(16) NOT NULL, 
	who VARCHAR(128) NOT NULL, 
	reason VARCHAR(32) NOT NULL, 
	times INTEGER NOT NULL, 
	first_at DATETIME NOT NULL, 
	last_at DATETIME NOT NULL, 
	CONSTRAINT pk_abuse_signals PRIMARY KEY (kind, who, reason)
);
INSERT INTO "abuse_signals" VALUES('kind-0','who-0','reason-0',1,'2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "abuse_signals" VALUES('kind-1','who-1','reason-1',2,'2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE audit (
	entry_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	event VARCHAR(64) NOT NULL, 
	image_id VARCHAR(32), 
	actor VARCHAR(128) NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (entry_id)
);
INSERT INTO "audit" VALUES(1,'2026-01-01 00:00:00.000000','event-0','image_id-0','actor-0','{"number": 0}');
INSERT INTO "audit" VALUES(2,'2026-01-02 00:00:00.000000','event-1','image_id-1','actor-1','{"number": 1}');
CREATE TABLE blocks (
	viewer_id VARCHAR(128) NOT NULL, 
	profile_id VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_blocks PRIMARY KEY (viewer_id, profile_id)
);
INSERT INTO "blocks" VALUES('viewer_id-0','profile_id-0','2026-01-01 00:00:00.000000');
INSERT INTO "blocks" VALUES('viewer_id-1','profile_id-1','2026-01-02 00:00:00.000000');
CREATE TABLE canaries (
	profile_id VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_canaries PRIMARY KEY (profile_id)
);
INSERT INTO "canaries" VALUES('profile_id-0','2026-01-01 00:00:00.000000');
INSERT INTO "canaries" VALUES('profile_id-1','2026-01-02 00:00:00.000000');
CREATE TABLE changes (
	change_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	txid BIGINT, 
	kind VARCHAR(8) NOT NULL, 
	"key" VARCHAR(128) NOT NULL, 
	at BIGINT NOT NULL
);
INSERT INTO "changes" VALUES(1,NULL,'profile','profile_id-0',1795979264);
INSERT INTO "changes" VALUES(2,NULL,'profile','profile_id-1',1795979264);
INSERT INTO "changes" VALUES(3,NULL,'profile','profile_id-0',1795979264);
INSERT INTO "changes" VALUES(4,NULL,'profile','profile_id-1',1795979264);
INSERT INTO "changes" VALUES(5,1,'kind-0','key-0',1);
INSERT INTO "changes" VALUES(6,2,'kind-1','key-1',2);
INSERT INTO "changes" VALUES(7,NULL,'profile','profile_id-0',1795979265);
INSERT INTO "changes" VALUES(8,NULL,'profile','profile_id-1',1795979265);
INSERT INTO "changes" VALUES(9,NULL,'profile','profile_id-0',1795979265);
INSERT INTO "changes" VALUES(10,NULL,'profile','profile_id-1',1795979265);
INSERT INTO "changes" VALUES(11,NULL,'profile','profile_id-0',1795979265);
INSERT INTO "changes" VALUES(12,NULL,'profile','profile_id-1',1795979265);
INSERT INTO "changes" VALUES(13,NULL,'profile','profile_id-0',1795979265);
INSERT INTO "changes" VALUES(14,NULL,'profile','profile_id-1',1795979265);
INSERT INTO "changes" VALUES(15,NULL,'name','name-0',1795979265);
INSERT INTO "changes" VALUES(16,NULL,'name','name-1',1795979265);
CREATE TABLE decision_counts (
	day DATE NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	cell VARCHAR(300) NOT NULL, 
	count BIGINT NOT NULL, 
	CONSTRAINT pk_decision_counts PRIMARY KEY (day, kind, cell)
);
INSERT INTO "decision_counts" VALUES('2026-01-01','kind-0','cell-0',1);
INSERT INTO "decision_counts" VALUES('2026-01-02','kind-1','cell-1',2);
CREATE TABLE erasures (
	image_id VARCHAR(32) NOT NULL, 
	objects JSON NOT NULL, 
	CONSTRAINT pk_erasures PRIMARY KEY (image_id), 
	CONSTRAINT fk_erasures_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "erasures" VALUES('image_id-0','{"number": 0}');
INSERT INTO "erasures" VALUES('image_id-1','{"number": 1}');
CREATE TABLE events (
	event_id VARCHAR(32) NOT NULL, 
	profile_id VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_at DATETIME NOT NULL, 
	CONSTRAINT pk_events PRIMARY KEY (event_id)
);
INSERT INTO "events" VALUES('event_id-0','profile_id-0','2026-01-01 00:00:00.000000',1,'2026-01-01 00:00:00.000000');
INSERT INTO "events" VALUES('event_id-1','profile_id-1','2026-01-02 00:00:00.000000',2,'2026-01-02 00:00:00.000000');
CREATE TABLE hash_list_matches (
	image_id VARCHAR(32) NOT NULL, 
	list VARCHAR(64) NOT NULL, 
	reference VARCHAR(200) NOT NULL, 
	distance INTEGER NOT NULL, 
	found_at DATETIME NOT NULL, 
	verdict VARCHAR(16) NOT NULL, 
	decided_by VARCHAR(128), 
	decided_at DATETIME, 
	CONSTRAINT pk_hash_list_matches PRIMARY KEY (image_id, list, reference), 
	CONSTRAINT fk_hash_list_matches_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "hash_list_matches" VALUES('image_id-0','list-0','reference-0',1,'2026-01-01 00:00:00.000000','verdict-0','decided_by-0','2026-01-01 00:00:00.000000');
INSERT INTO "hash_list_matches" VALUES('image_id-1','list-1','reference-1',2,'2026-01-02 00:00:00.000000','verdict-1','decided_by-1','2026-01-02 00:00:00.000000');
CREATE TABLE hash_lists (
	name VARCHAR(64) NOT NULL, 
	hashes INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	sample BLOB NOT NULL, 
	modified_ns BIGINT NOT NULL, 
	revision INTEGER NOT NULL, 
	known_at DATETIME NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_hash_lists PRIMARY KEY (name)
);
INSERT INTO "hash_lists" VALUES('name-0',1,'digest-0',X'0000000000000000000000000000000000000000000000000000000000000000',1,1,'2026-01-01 00:00:00.000000','actor-0');
INSERT INTO "hash_lists" VALUES('name-1',2,'digest-1',X'0101010101010101010101010101010101010101010101010101010101010101',2,2,'2026-01-02 00:00:00.000000','actor-1');
CREATE TABLE held (
	hold_id VARCHAR(32) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_held PRIMARY KEY (hold_id, image_id), 
	CONSTRAINT fk_held_hold_id FOREIGN KEY(hold_id) REFERENCES holds (hold_id), 
	CONSTRAINT fk_held_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "held" VALUES('hold_id-0','image_id-0');
INSERT INTO "held" VALUES('hold_id-1','image_id-1');
CREATE TABLE holds (
	hold_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	reference VARCHAR(200) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	until DATETIME, 
	approvals JSON NOT NULL, 
	placed_by VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_holds PRIMARY KEY (hold_id)
);
INSERT INTO "holds" VALUES('hold_id-0','kind-0','reference-0','state-0','2026-01-01 00:00:00.000000','{"number": 0}','placed_by-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "holds" VALUES('hold_id-1','kind-1','reference-1','state-1','2026-01-02 00:00:00.000000','{"number": 1}','placed_by-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE idempotency (
	key_hash VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_idempotency PRIMARY KEY (key_hash), 
	CONSTRAINT fk_idempotency_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "idempotency" VALUES('key_hash-0','fingerprint-0','image_id-0','2026-01-01 00:00:00.000000');
INSERT INTO "idempotency" VALUES('key_hash-1','fingerprint-1','image_id-1','2026-01-02 00:00:00.000000');
CREATE TABLE images (
	image_id VARCHAR(32) NOT NULL, 
	profile_id VARCHAR(128) NOT NULL, 
	sequence INTEGER NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason VARCHAR(64), 
	original_key VARCHAR(200) NOT NULL, 
	original_bytes INTEGER NOT NULL, 
	format VARCHAR(8) NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	band VARCHAR(32) NOT NULL, 
	ceiling_band VARCHAR(32) NOT NULL, 
	released_band VARCHAR(32), 
	created_at DATETIME NOT NULL, 
	ready_at DATETIME, 
	crop VARCHAR(40), 
	blurhash VARCHAR(64), 
	superseded_at DATETIME, 
	sealed_key VARCHAR(200), 
	CONSTRAINT pk_images PRIMARY KEY (image_id), 
	CONSTRAINT fk_images_profile_id FOREIGN KEY(profile_id) REFERENCES profiles (profile_id), 
	CONSTRAINT uq_images_original_key UNIQUE (original_key), 
	CONSTRAINT uq_images_profile_id UNIQUE (profile_id, sequence)
);
INSERT INTO "images" VALUES('image_id-0','profile_id-0',1,'state-0','reason-0','original_key-0',1,'format-0',1,1,'band-0','ceiling_band-0','released_ban-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000','crop-0','blurhash-0','2026-01-01 00:00:00.000000','sealed_key-0');
INSERT INTO "images" VALUES('image_id-1','profile_id-1',2,'state-1','reason-1','original_key-1',2,'format-1',2,2,'band-1','ceiling_band-1','released_ban-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000','crop-1','blurhash-1','2026-01-02 00:00:00.000000','sealed_key-1');
CREATE TABLE import_items (
	item_id VARCHAR(32) NOT NULL, 
	identity VARCHAR(64) NOT NULL, 
	import_id VARCHAR(32), 
	bucket VARCHAR(63) NOT NULL, 
	"key" VARCHAR(1024) NOT NULL, 
	profile_id VARCHAR(128) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason VARCHAR(64), 
	etag VARCHAR(100) NOT NULL, 
	written_at DATETIME, 
	image_id VARCHAR(32), 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_import_items PRIMARY KEY (item_id), 
	CONSTRAINT fk_import_items_import_id FOREIGN KEY(import_id) REFERENCES imports (import_id), 
	CONSTRAINT uq_import_items_identity UNIQUE (identity)
);
INSERT INTO "import_items" VALUES('item_id-0','identity-0','import_id-0','bucket-0','key-0','profile_id-0','state-0','reason-0','etag-0','2026-01-01 00:00:00.000000','image_id-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "import_items" VALUES('item_id-1','identity-1','import_id-1','bucket-1','key-1','profile_id-1','state-1','reason-1','etag-1','2026-01-02 00:00:00.000000','image_id-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE imports (
	import_id VARCHAR(32) NOT NULL, 
	source VARCHAR(1100) NOT NULL, 
	template VARCHAR(300) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	cursor JSON NOT NULL, 
	keys_found BIGINT NOT NULL, 
	queued BIGINT NOT NULL, 
	known BIGINT NOT NULL, 
	unmatched BIGINT NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_imports PRIMARY KEY (import_id)
);
INSERT INTO "imports" VALUES('import_id-0','source-0','template-0','state-0','{"number": 0}',1,1,1,1,'actor-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "imports" VALUES('import_id-1','source-1','template-1','state-1','{"number": 1}',2,2,2,2,'actor-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE jobs (
	job_id VARCHAR(32) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	lane INTEGER DEFAULT '2' NOT NULL, 
	image_id VARCHAR(32), 
	trace_id VARCHAR(32), 
	other_id VARCHAR(32), 
	state VARCHAR(16) NOT NULL, 
	attempt INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	planned JSON NOT NULL, 
	lease_until DATETIME, 
	next_run_at DATETIME NOT NULL, 
	reason VARCHAR(200), 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_jobs PRIMARY KEY (job_id), 
	CONSTRAINT fk_jobs_image_id FOREIGN KEY(image_id) REFERENCES images (image_id), 
	CONSTRAINT fk_jobs_trace_id FOREIGN KEY(trace_id) REFERENCES trace_jobs (trace_id)
);
INSERT INTO "jobs" VALUES('job_id-0','kind-0',1,'image_id-0','trace_id-0','other_id-0','state-0',1,1,'{"number": 0}','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000','reason-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "jobs" VALUES('job_id-1','kind-1',2,'image_id-1','trace_id-1','other_id-1','state-1',2,2,'{"number": 1}','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000','reason-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE lifecycle_snapshots (
	snapshot_id INTEGER NOT NULL, 
	bucket VARCHAR(63) NOT NULL, 
	rules JSON NOT NULL, 
	ours JSON NOT NULL, 
	taken_at DATETIME NOT NULL, 
	CONSTRAINT pk_lifecycle_snapshots PRIMARY KEY (snapshot_id)
);
INSERT INTO "lifecycle_snapshots" VALUES(1,'bucket-0','{"number": 0}','{"number": 0}','2026-01-01 00:00:00.000000');
INSERT INTO "lifecycle_snapshots" VALUES(2,'bucket-1','{"number": 1}','{"number": 1}','2026-01-02 00:00:00.000000');
CREATE TABLE lifecycles (
	bucket VARCHAR(63) NOT NULL, 
	rules JSON NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	applied_at DATETIME NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_lifecycles PRIMARY KEY (bucket)
);
INSERT INTO "lifecycles" VALUES('bucket-0','{"number": 0}','fingerprint-0','2026-01-01 00:00:00.000000','actor-0');
INSERT INTO "lifecycles" VALUES('bucket-1','{"number": 1}','fingerprint-1','2026-01-02 00:00:00.000000','actor-1');
CREATE TABLE outbox (
	message_id INTEGER NOT NULL, 
	task VARCHAR(64) NOT NULL, 
	job_id VARCHAR(32) NOT NULL, 
	lane INTEGER DEFAULT '2' NOT NULL, 
	claimed_until DATETIME, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_outbox PRIMARY KEY (message_id)
);
INSERT INTO "outbox" VALUES(1,'task-0','job_id-0',1,'2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "outbox" VALUES(2,'task-1','job_id-1',2,'2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE policy_bundles (
	version INTEGER NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	data BLOB NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_policy_bundles PRIMARY KEY (version)
);
INSERT INTO "policy_bundles" VALUES(1,'digest-0',X'0000000000000000000000000000000000000000000000000000000000000000','2026-01-01 00:00:00.000000');
INSERT INTO "policy_bundles" VALUES(2,'digest-1',X'0101010101010101010101010101010101010101010101010101010101010101','2026-01-02 00:00:00.000000');
CREATE TABLE policy_state (
	only INTEGER NOT NULL, 
	revision INTEGER NOT NULL, 
	highest_version INTEGER NOT NULL, 
	active_version INTEGER, 
	previous_version INTEGER, 
	candidate_version INTEGER, 
	candidate_permille INTEGER NOT NULL, 
	changed_at DATETIME NOT NULL, 
	activated_at DATETIME, 
	CONSTRAINT pk_policy_state PRIMARY KEY (only)
);
INSERT INTO "policy_state" VALUES(1,1,1,1,1,1,1,'2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "policy_state" VALUES(2,2,2,2,2,2,2,'2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE policy_withdrawals (
	version INTEGER NOT NULL, 
	withdrawn_at DATETIME NOT NULL, 
	CONSTRAINT pk_policy_withdrawals PRIMARY KEY (version)
);
INSERT INTO "policy_withdrawals" VALUES(1,'2026-01-01 00:00:00.000000');
INSERT INTO "policy_withdrawals" VALUES(2,'2026-01-02 00:00:00.000000');
CREATE TABLE profiles (
	profile_id VARCHAR(128) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	band VARCHAR(32) NOT NULL, 
	asserted_band VARCHAR(32) NOT NULL, 
	assurance VARCHAR(32) NOT NULL, 
	region VARCHAR(32) NOT NULL, 
	choice VARCHAR(32) NOT NULL, 
	report_flag VARCHAR(32) NOT NULL, 
	asserted_at DATETIME NOT NULL, 
	generation INTEGER NOT NULL, 
	uploads INTEGER NOT NULL, 
	current_image_id VARCHAR(32), 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_profiles PRIMARY KEY (profile_id)
);
INSERT INTO "profiles" VALUES('profile_id-0','state-0','band-0','asserted_ban-0','assurance-0','region-0','choice-0','report_flag-0','2026-01-01 00:00:00.000000',1,1,'current_imag-0','2026-01-01 00:00:00.000000');
INSERT INTO "profiles" VALUES('profile_id-1','state-1','band-1','asserted_ban-1','assurance-1','region-1','choice-1','report_flag-1','2026-01-02 00:00:00.000000',2,2,'current_imag-1','2026-01-02 00:00:00.000000');
CREATE TABLE proof_revocations (
	profile_id VARCHAR(128) NOT NULL, 
	viewer_id VARCHAR(128) NOT NULL, 
	revoked_at BIGINT NOT NULL, 
	CONSTRAINT pk_proof_revocations PRIMARY KEY (profile_id, viewer_id)
);
INSERT INTO "proof_revocations" VALUES('profile_id-0','viewer_id-0',1);
INSERT INTO "proof_revocations" VALUES('profile_id-1','viewer_id-1',2);
CREATE TABLE receipt_head (
	only INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_receipt_head PRIMARY KEY (only)
);
INSERT INTO "receipt_head" VALUES(1,'');
CREATE TABLE receipts (
	sequence INTEGER NOT NULL, 
	receipt_id VARCHAR(32) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	envelope JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_receipts PRIMARY KEY (sequence), 
	CONSTRAINT uq_receipts_receipt_id UNIQUE (receipt_id)
);
INSERT INTO "receipts" VALUES(1,'receipt_id-0','image_id-0','hash-0','{"number": 0}','2026-01-01 00:00:00.000000');
INSERT INTO "receipts" VALUES(2,'receipt_id-1','image_id-1','hash-1','{"number": 1}','2026-01-02 00:00:00.000000');
CREATE TABLE rendition_hashes (
	hash_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	name VARCHAR(64) NOT NULL, 
	hash BLOB NOT NULL, 
	quality INTEGER NOT NULL, 
	CONSTRAINT fk_rendition_hashes_name FOREIGN KEY(name) REFERENCES renditions (name), 
	CONSTRAINT uq_rendition_hashes_name UNIQUE (name)
);
INSERT INTO "rendition_hashes" VALUES(1,'name-0',X'0000000000000000000000000000000000000000000000000000000000000000',1);
INSERT INTO "rendition_hashes" VALUES(2,'name-1',X'0101010101010101010101010101010101010101010101010101010101010101',2);
CREATE TABLE renditions (
	name VARCHAR(64) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	tier VARCHAR(32) NOT NULL, 
	generation INTEGER NOT NULL, 
	recipe VARCHAR(16) NOT NULL, 
	format VARCHAR(8) NOT NULL, 
	bytes INTEGER NOT NULL, 
	width INTEGER NOT NULL, 
	height INTEGER NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	face_px INTEGER, 
	watermark BIGINT, 
	short_watermark INTEGER, 
	variant INTEGER NOT NULL, 
	watermark_agreement INTEGER, 
	manifest VARCHAR(64), 
	manifest_id VARCHAR(64), 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_renditions PRIMARY KEY (name), 
	CONSTRAINT fk_renditions_image_id FOREIGN KEY(image_id) REFERENCES images (image_id), 
	CONSTRAINT uq_renditions_image_id UNIQUE (image_id, tier, recipe, variant)
);
INSERT INTO "renditions" VALUES('name-0','image_id-0','tier-0',1,'recipe-0','format-0',1,1,1,'sha256-0',1,1,1,1,1,'manifest-0','manifest_id-0','2026-01-01 00:00:00.000000');
INSERT INTO "renditions" VALUES('name-1','image_id-1','tier-1',2,'recipe-1','format-1',2,2,2,'sha256-1',2,2,2,2,2,'manifest-1','manifest_id-1','2026-01-02 00:00:00.000000');
CREATE TABLE revocations (
	name VARCHAR(64) NOT NULL, 
	format VARCHAR(8) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_revocations PRIMARY KEY (name), 
	CONSTRAINT fk_revocations_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "revocations" VALUES('name-0','format-0','image_id-0','2026-01-01 00:00:00.000000');
INSERT INTO "revocations" VALUES('name-1','format-1','image_id-1','2026-01-02 00:00:00.000000');
CREATE TABLE screenings (
	image_id VARCHAR(32) NOT NULL, 
	hashes BLOB NOT NULL, 
	revision INTEGER NOT NULL, 
	CONSTRAINT pk_screenings PRIMARY KEY (image_id), 
	CONSTRAINT fk_screenings_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "screenings" VALUES('image_id-0',X'0000000000000000000000000000000000000000000000000000000000000000',1);
INSERT INTO "screenings" VALUES('image_id-1',X'0101010101010101010101010101010101010101010101010101010101010101',2);
CREATE TABLE sweeps (
	sweep_id VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	counts JSON NOT NULL, 
	batches INTEGER NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_sweeps PRIMARY KEY (sweep_id)
);
INSERT INTO "sweeps" VALUES('sweep_id-0','state-0','{"number": 0}',1,'actor-0','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000');
INSERT INTO "sweeps" VALUES('sweep_id-1','state-1','{"number": 1}',2,'actor-1','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000');
CREATE TABLE trace_jobs (
	trace_id VARCHAR(32) NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	reason VARCHAR(200), 
	progress INTEGER NOT NULL, 
	copy_key VARCHAR(200), 
	sha256 VARCHAR(64), 
	keep BOOLEAN NOT NULL, 
	actor VARCHAR(128) NOT NULL, 
	result JSON, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	sealed_key VARCHAR(200), 
	CONSTRAINT pk_trace_jobs PRIMARY KEY (trace_id)
);
INSERT INTO "trace_jobs" VALUES('trace_id-0','state-0','reason-0',1,'copy_key-0','sha256-0',0,'actor-0','{"number": 0}','2026-01-01 00:00:00.000000','2026-01-01 00:00:00.000000','sealed_key-0');
INSERT INTO "trace_jobs" VALUES('trace_id-1','state-1','reason-1',2,'copy_key-1','sha256-1',1,'actor-1','{"number": 1}','2026-01-02 00:00:00.000000','2026-01-02 00:00:00.000000','sealed_key-1');
CREATE TABLE trace_origins (
	trace_id VARCHAR(32) NOT NULL, 
	image_id VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_trace_origins PRIMARY KEY (trace_id, image_id), 
	CONSTRAINT fk_trace_origins_image_id FOREIGN KEY(image_id) REFERENCES images (image_id), 
	CONSTRAINT fk_trace_origins_trace_id FOREIGN KEY(trace_id) REFERENCES trace_jobs (trace_id)
);
INSERT INTO "trace_origins" VALUES('trace_id-0','image_id-0');
INSERT INTO "trace_origins" VALUES('trace_id-1','image_id-1');
CREATE TABLE vaulted (
	image_id VARCHAR(32) NOT NULL, 
	objects JSON NOT NULL, 
	vaulted_at DATETIME NOT NULL, 
	CONSTRAINT pk_vaulted PRIMARY KEY (image_id), 
	CONSTRAINT fk_vaulted_image_id FOREIGN KEY(image_id) REFERENCES images (image_id)
);
INSERT INTO "vaulted" VALUES('image_id-0','{"number": 0}','2026-01-01 00:00:00.000000');
INSERT INTO "vaulted" VALUES('image_id-1','{"number": 1}','2026-01-02 00:00:00.000000');
CREATE INDEX ix_abuse_signals_last_at ON abuse_signals (last_at);
CREATE INDEX ix_audit_image_id ON audit (image_id);
CREATE INDEX ix_blocks_profile_id ON blocks (profile_id);
CREATE INDEX ix_changes_at ON changes (at);
CREATE INDEX ix_changes_txid ON changes (txid);
CREATE INDEX ix_events_next_at ON events (next_at);
CREATE INDEX ix_holds_state ON holds (state);
CREATE INDEX ix_imports_created_at ON imports (created_at);
CREATE INDEX ix_lifecycle_snapshots_bucket ON lifecycle_snapshots (bucket);
CREATE INDEX ix_outbox_job_id ON outbox (job_id);
CREATE INDEX ix_outbox_lane_message_id ON outbox (lane, message_id);
CREATE INDEX ix_proof_revocations_revoked_at ON proof_revocations (revoked_at);
CREATE INDEX ix_receipts_image_id ON receipts (image_id);
CREATE INDEX ix_sweeps_created_at ON sweeps (created_at);
CREATE INDEX ix_trace_jobs_actor_created_at ON trace_jobs (actor, created_at);
CREATE INDEX ix_trace_jobs_state_created_at ON trace_jobs (state, created_at);
CREATE INDEX ix_images_created_at ON images (created_at);
CREATE INDEX ix_images_profile_id ON images (profile_id);
CREATE INDEX ix_images_superseded_at ON images (superseded_at);
CREATE INDEX ix_import_items_image_id ON import_items (image_id);
CREATE INDEX ix_import_items_import_id_state ON import_items (import_id, state);
CREATE INDEX ix_import_items_profile_id ON import_items (profile_id);
CREATE INDEX ix_hash_list_matches_verdict_found_at ON hash_list_matches (verdict, found_at);
CREATE INDEX ix_held_image_id ON held (image_id);
CREATE INDEX ix_idempotency_created_at ON idempotency (created_at);
CREATE INDEX ix_jobs_image_id ON jobs (image_id);
CREATE INDEX ix_jobs_other_id ON jobs (other_id);
CREATE INDEX ix_jobs_state_lane_next_run_at ON jobs (state, lane, next_run_at);
CREATE INDEX ix_jobs_trace_id ON jobs (trace_id);
CREATE INDEX ix_renditions_image_id ON renditions (image_id);
CREATE INDEX ix_renditions_manifest_id ON renditions (manifest_id);
CREATE INDEX ix_renditions_short_watermark ON renditions (short_watermark);
CREATE INDEX ix_renditions_watermark ON renditions (watermark);
CREATE INDEX ix_revocations_image_id ON revocations (image_id);
CREATE INDEX ix_screenings_revision ON screenings (revision);
CREATE INDEX ix_trace_origins_image_id ON trace_origins (image_id);
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER profiles_changed_insert AFTER INSERT ON profiles BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER profiles_changed_update AFTER UPDATE ON profiles BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER profiles_changed_delete AFTER DELETE ON profiles BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', OLD.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER images_changed_insert AFTER INSERT ON images BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER images_changed_update AFTER UPDATE ON images BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER images_changed_delete AFTER DELETE ON images BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', OLD.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER renditions_changed_insert AFTER INSERT ON renditions BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', (SELECT profile_id FROM images WHERE image_id = NEW.image_id), CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER renditions_changed_update AFTER UPDATE ON renditions BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', (SELECT profile_id FROM images WHERE image_id = NEW.image_id), CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER renditions_changed_delete AFTER DELETE ON renditions BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', (SELECT profile_id FROM images WHERE image_id = OLD.image_id), CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER canaries_changed_insert AFTER INSERT ON canaries BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER canaries_changed_update AFTER UPDATE ON canaries BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER canaries_changed_delete AFTER DELETE ON canaries BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', OLD.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER blocks_changed_insert AFTER INSERT ON blocks BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER blocks_changed_update AFTER UPDATE ON blocks BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER blocks_changed_delete AFTER DELETE ON blocks BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', OLD.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER proof_revocations_changed_insert AFTER INSERT ON proof_revocations BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER proof_revocations_changed_update AFTER UPDATE ON proof_revocations BEGIN INSERT INTO changes (kind, key, at) VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END;
CREATE TRIGGER revocations_changed_insert AFTER INSERT ON revocations BEGIN INSERT INTO changes (kind, key, at) VALUES ('name', NEW.name, CAST(strftime('%s', 'now') AS INTEGER)); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('changes',16);
INSERT INTO "sqlite_sequence" VALUES('rendition_hashes',2);
COMMIT;
