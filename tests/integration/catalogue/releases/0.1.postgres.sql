CREATE FUNCTION public.audit_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$;
CREATE FUNCTION public.blocks_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', OLD.profile_id, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', NEW.profile_id, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.canaries_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', OLD.profile_id, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', NEW.profile_id, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.images_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', OLD.profile_id, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', NEW.profile_id, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.profiles_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', OLD.profile_id, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', NEW.profile_id, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.proof_revocations_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', OLD.profile_id, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', NEW.profile_id, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.renditions_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', (SELECT profile_id FROM images WHERE image_id = OLD.image_id), extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', (SELECT profile_id FROM images WHERE image_id = NEW.image_id), extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE FUNCTION public.revocations_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'name', OLD.name, extract(epoch from now())::bigint); ELSE INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'name', NEW.name, extract(epoch from now())::bigint); END IF; RETURN NULL; END $$;
CREATE TABLE public.abuse_signals (
    kind character varying(16) NOT NULL,
    who character varying(128) NOT NULL,
    reason character varying(32) NOT NULL,
    times integer NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit (
    entry_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    event character varying(64) NOT NULL,
    image_id character varying(32),
    actor character varying(128) NOT NULL,
    detail json NOT NULL
);
CREATE SEQUENCE public.audit_entry_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_entry_id_seq OWNED BY public.audit.entry_id;
CREATE TABLE public.blocks (
    viewer_id character varying(128) NOT NULL,
    profile_id character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.canaries (
    profile_id character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.changes (
    change_id bigint NOT NULL,
    txid bigint,
    kind character varying(8) NOT NULL,
    key character varying(128) NOT NULL,
    at bigint NOT NULL
);
CREATE SEQUENCE public.changes_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.changes_change_id_seq OWNED BY public.changes.change_id;
CREATE TABLE public.decision_counts (
    day date NOT NULL,
    kind character varying(32) NOT NULL,
    cell character varying(300) NOT NULL,
    count bigint NOT NULL
);
CREATE TABLE public.erasures (
    image_id character varying(32) NOT NULL,
    objects json NOT NULL
);
CREATE TABLE public.events (
    event_id character varying(32) NOT NULL,
    profile_id character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    attempts integer NOT NULL,
    next_at timestamp with time zone NOT NULL
);
CREATE TABLE public.hash_list_matches (
    image_id character varying(32) NOT NULL,
    list character varying(64) NOT NULL,
    reference character varying(200) NOT NULL,
    distance integer NOT NULL,
    found_at timestamp with time zone NOT NULL,
    verdict character varying(16) NOT NULL,
    decided_by character varying(128),
    decided_at timestamp with time zone
);
CREATE TABLE public.hash_lists (
    name character varying(64) NOT NULL,
    hashes integer NOT NULL,
    digest character varying(64) NOT NULL,
    sample bytea NOT NULL,
    modified_ns bigint NOT NULL,
    revision integer NOT NULL,
    known_at timestamp with time zone NOT NULL,
    actor character varying(128) NOT NULL
);
CREATE TABLE public.held (
    hold_id character varying(32) NOT NULL,
    image_id character varying(32) NOT NULL
);
CREATE TABLE public.holds (
    hold_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    reference character varying(200) NOT NULL,
    state character varying(16) NOT NULL,
    until timestamp with time zone,
    approvals json NOT NULL,
    placed_by character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE public.idempotency (
    key_hash character varying(64) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    image_id character varying(32) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.images (
    image_id character varying(32) NOT NULL,
    profile_id character varying(128) NOT NULL,
    sequence integer NOT NULL,
    state character varying(16) NOT NULL,
    reason character varying(64),
    original_key character varying(200) NOT NULL,
    original_bytes integer NOT NULL,
    format character varying(8) NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    band character varying(32) NOT NULL,
    ceiling_band character varying(32) NOT NULL,
    released_band character varying(32),
    created_at timestamp with time zone NOT NULL,
    ready_at timestamp with time zone,
    crop character varying(40),
    blurhash character varying(64),
    superseded_at timestamp with time zone,
    sealed_key character varying(200)
);
CREATE TABLE public.import_items (
    item_id character varying(32) NOT NULL,
    identity character varying(64) NOT NULL,
    import_id character varying(32),
    bucket character varying(63) NOT NULL,
    key character varying(1024) NOT NULL,
    profile_id character varying(128) NOT NULL,
    state character varying(16) NOT NULL,
    reason character varying(64),
    etag character varying(100) NOT NULL,
    written_at timestamp with time zone,
    image_id character varying(32),
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);
CREATE TABLE public.imports (
    import_id character varying(32) NOT NULL,
    source character varying(1100) NOT NULL,
    template character varying(300) NOT NULL,
    state character varying(16) NOT NULL,
    cursor json NOT NULL,
    keys_found bigint NOT NULL,
    queued bigint NOT NULL,
    known bigint NOT NULL,
    unmatched bigint NOT NULL,
    actor character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);
CREATE TABLE public.jobs (
    job_id character varying(32) NOT NULL,
    kind character varying(16) NOT NULL,
    lane integer DEFAULT 2 NOT NULL,
    image_id character varying(32),
    trace_id character varying(32),
    other_id character varying(32),
    state character varying(16) NOT NULL,
    attempt integer NOT NULL,
    crashes integer NOT NULL,
    planned json NOT NULL,
    lease_until timestamp with time zone,
    next_run_at timestamp with time zone NOT NULL,
    reason character varying(200),
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);
CREATE TABLE public.lifecycle_snapshots (
    snapshot_id bigint NOT NULL,
    bucket character varying(63) NOT NULL,
    rules json NOT NULL,
    ours json NOT NULL,
    taken_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.lifecycle_snapshots_snapshot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.lifecycle_snapshots_snapshot_id_seq OWNED BY public.lifecycle_snapshots.snapshot_id;
CREATE TABLE public.lifecycles (
    bucket character varying(63) NOT NULL,
    rules json NOT NULL,
    fingerprint character varying(64) NOT NULL,
    applied_at timestamp with time zone NOT NULL,
    actor character varying(128) NOT NULL
);
CREATE TABLE public.outbox (
    message_id bigint NOT NULL,
    task character varying(64) NOT NULL,
    job_id character varying(32) NOT NULL,
    lane integer DEFAULT 2 NOT NULL,
    claimed_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.outbox_message_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.outbox_message_id_seq OWNED BY public.outbox.message_id;
CREATE TABLE public.policy_bundles (
    version integer NOT NULL,
    digest character varying(64) NOT NULL,
    data bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.policy_state (
    "only" integer NOT NULL,
    revision integer NOT NULL,
    highest_version integer NOT NULL,
    active_version integer,
    previous_version integer,
    candidate_version integer,
    candidate_permille integer NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    activated_at timestamp with time zone
);
CREATE TABLE public.policy_withdrawals (
    version integer NOT NULL,
    withdrawn_at timestamp with time zone NOT NULL
);
CREATE TABLE public.profiles (
    profile_id character varying(128) NOT NULL,
    state character varying(16) NOT NULL,
    band character varying(32) NOT NULL,
    asserted_band character varying(32) NOT NULL,
    assurance character varying(32) NOT NULL,
    region character varying(32) NOT NULL,
    choice character varying(32) NOT NULL,
    report_flag character varying(32) NOT NULL,
    asserted_at timestamp with time zone NOT NULL,
    generation integer NOT NULL,
    uploads integer NOT NULL,
    current_image_id character varying(32),
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.proof_revocations (
    profile_id character varying(128) NOT NULL,
    viewer_id character varying(128) NOT NULL,
    revoked_at bigint NOT NULL
);
CREATE TABLE public.receipt_head (
    "only" integer NOT NULL,
    hash character varying(64) NOT NULL
);
CREATE TABLE public.receipts (
    sequence bigint NOT NULL,
    receipt_id character varying(32) NOT NULL,
    image_id character varying(32) NOT NULL,
    hash character varying(64) NOT NULL,
    envelope json NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.receipts_sequence_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.receipts_sequence_seq OWNED BY public.receipts.sequence;
CREATE TABLE public.rendition_hashes (
    hash_id bigint NOT NULL,
    name character varying(64) NOT NULL,
    hash bytea NOT NULL,
    quality integer NOT NULL
);
CREATE SEQUENCE public.rendition_hashes_hash_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.rendition_hashes_hash_id_seq OWNED BY public.rendition_hashes.hash_id;
CREATE TABLE public.renditions (
    name character varying(64) NOT NULL,
    image_id character varying(32) NOT NULL,
    tier character varying(32) NOT NULL,
    generation integer NOT NULL,
    recipe character varying(16) NOT NULL,
    format character varying(8) NOT NULL,
    bytes integer NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    sha256 character varying(64) NOT NULL,
    face_px integer,
    watermark bigint,
    short_watermark integer,
    variant integer NOT NULL,
    watermark_agreement integer,
    manifest character varying(64),
    manifest_id character varying(64),
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.revocations (
    name character varying(64) NOT NULL,
    format character varying(8) NOT NULL,
    image_id character varying(32) NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.screenings (
    image_id character varying(32) NOT NULL,
    hashes bytea NOT NULL,
    revision integer NOT NULL
);
CREATE TABLE public.sweeps (
    sweep_id character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    counts json NOT NULL,
    batches integer NOT NULL,
    actor character varying(128) NOT NULL,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone
);
CREATE TABLE public.trace_jobs (
    trace_id character varying(32) NOT NULL,
    state character varying(16) NOT NULL,
    reason character varying(200),
    progress integer NOT NULL,
    copy_key character varying(200),
    sha256 character varying(64),
    keep boolean NOT NULL,
    actor character varying(128) NOT NULL,
    result json,
    created_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone,
    sealed_key character varying(200)
);
CREATE TABLE public.trace_origins (
    trace_id character varying(32) NOT NULL,
    image_id character varying(32) NOT NULL
);
CREATE TABLE public.vaulted (
    image_id character varying(32) NOT NULL,
    objects json NOT NULL,
    vaulted_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.audit ALTER COLUMN entry_id SET DEFAULT nextval('public.audit_entry_id_seq'::regclass);
ALTER TABLE ONLY public.changes ALTER COLUMN change_id SET DEFAULT nextval('public.changes_change_id_seq'::regclass);
ALTER TABLE ONLY public.lifecycle_snapshots ALTER COLUMN snapshot_id SET DEFAULT nextval('public.lifecycle_snapshots_snapshot_id_seq'::regclass);
ALTER TABLE ONLY public.outbox ALTER COLUMN message_id SET DEFAULT nextval('public.outbox_message_id_seq'::regclass);
ALTER TABLE ONLY public.receipts ALTER COLUMN sequence SET DEFAULT nextval('public.receipts_sequence_seq'::regclass);
ALTER TABLE ONLY public.rendition_hashes ALTER COLUMN hash_id SET DEFAULT nextval('public.rendition_hashes_hash_id_seq'::regclass);
INSERT INTO public.abuse_signals VALUES ('kind-0', 'who-0', 'reason-0', 1, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.abuse_signals VALUES ('kind-1', 'who-1', 'reason-1', 2, '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.audit VALUES (1, '2026-01-01 00:00:00+00', 'event-0', 'image_id-0', 'actor-0', '{"number": 0}');
INSERT INTO public.audit VALUES (2, '2026-01-02 00:00:00+00', 'event-1', 'image_id-1', 'actor-1', '{"number": 1}');
INSERT INTO public.blocks VALUES ('viewer_id-0', 'profile_id-0', '2026-01-01 00:00:00+00');
INSERT INTO public.blocks VALUES ('viewer_id-1', 'profile_id-1', '2026-01-02 00:00:00+00');
INSERT INTO public.canaries VALUES ('profile_id-0', '2026-01-01 00:00:00+00');
INSERT INTO public.canaries VALUES ('profile_id-1', '2026-01-02 00:00:00+00');
INSERT INTO public.changes VALUES (1, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (2, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (3, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (4, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (5, 1, 'kind-0', 'key-0', 1);
INSERT INTO public.changes VALUES (6, 2, 'kind-1', 'key-1', 2);
INSERT INTO public.changes VALUES (7, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (8, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (9, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (10, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (11, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (12, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (13, 13951, 'profile', 'profile_id-0', 1795979266);
INSERT INTO public.changes VALUES (14, 13951, 'profile', 'profile_id-1', 1795979266);
INSERT INTO public.changes VALUES (15, 13951, 'name', 'name-0', 1795979266);
INSERT INTO public.changes VALUES (16, 13951, 'name', 'name-1', 1795979266);
INSERT INTO public.decision_counts VALUES ('2026-01-01', 'kind-0', 'cell-0', 1);
INSERT INTO public.decision_counts VALUES ('2026-01-02', 'kind-1', 'cell-1', 2);
INSERT INTO public.erasures VALUES ('image_id-0', '{"number": 0}');
INSERT INTO public.erasures VALUES ('image_id-1', '{"number": 1}');
INSERT INTO public.events VALUES ('event_id-0', 'profile_id-0', '2026-01-01 00:00:00+00', 1, '2026-01-01 00:00:00+00');
INSERT INTO public.events VALUES ('event_id-1', 'profile_id-1', '2026-01-02 00:00:00+00', 2, '2026-01-02 00:00:00+00');
INSERT INTO public.hash_list_matches VALUES ('image_id-0', 'list-0', 'reference-0', 1, '2026-01-01 00:00:00+00', 'verdict-0', 'decided_by-0', '2026-01-01 00:00:00+00');
INSERT INTO public.hash_list_matches VALUES ('image_id-1', 'list-1', 'reference-1', 2, '2026-01-02 00:00:00+00', 'verdict-1', 'decided_by-1', '2026-01-02 00:00:00+00');
INSERT INTO public.hash_lists VALUES ('name-0', 1, 'digest-0', '\x0000000000000000000000000000000000000000000000000000000000000000', 1, 1, '2026-01-01 00:00:00+00', 'actor-0');
INSERT INTO public.hash_lists VALUES ('name-1', 2, 'digest-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 2, 2, '2026-01-02 00:00:00+00', 'actor-1');
INSERT INTO public.held VALUES ('hold_id-0', 'image_id-0');
INSERT INTO public.held VALUES ('hold_id-1', 'image_id-1');
INSERT INTO public.holds VALUES ('hold_id-0', 'kind-0', 'reference-0', 'state-0', '2026-01-01 00:00:00+00', '{"number": 0}', 'placed_by-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.holds VALUES ('hold_id-1', 'kind-1', 'reference-1', 'state-1', '2026-01-02 00:00:00+00', '{"number": 1}', 'placed_by-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.idempotency VALUES ('key_hash-0', 'fingerprint-0', 'image_id-0', '2026-01-01 00:00:00+00');
INSERT INTO public.idempotency VALUES ('key_hash-1', 'fingerprint-1', 'image_id-1', '2026-01-02 00:00:00+00');
INSERT INTO public.images VALUES ('image_id-0', 'profile_id-0', 1, 'state-0', 'reason-0', 'original_key-0', 1, 'format-0', 1, 1, 'band-0', 'ceiling_band-0', 'released_ban-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00', 'crop-0', 'blurhash-0', '2026-01-01 00:00:00+00', 'sealed_key-0');
INSERT INTO public.images VALUES ('image_id-1', 'profile_id-1', 2, 'state-1', 'reason-1', 'original_key-1', 2, 'format-1', 2, 2, 'band-1', 'ceiling_band-1', 'released_ban-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00', 'crop-1', 'blurhash-1', '2026-01-02 00:00:00+00', 'sealed_key-1');
INSERT INTO public.import_items VALUES ('item_id-0', 'identity-0', 'import_id-0', 'bucket-0', 'key-0', 'profile_id-0', 'state-0', 'reason-0', 'etag-0', '2026-01-01 00:00:00+00', 'image_id-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.import_items VALUES ('item_id-1', 'identity-1', 'import_id-1', 'bucket-1', 'key-1', 'profile_id-1', 'state-1', 'reason-1', 'etag-1', '2026-01-02 00:00:00+00', 'image_id-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.imports VALUES ('import_id-0', 'source-0', 'template-0', 'state-0', '{"number": 0}', 1, 1, 1, 1, 'actor-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.imports VALUES ('import_id-1', 'source-1', 'template-1', 'state-1', '{"number": 1}', 2, 2, 2, 2, 'actor-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.jobs VALUES ('job_id-0', 'kind-0', 1, 'image_id-0', 'trace_id-0', 'other_id-0', 'state-0', 1, 1, '{"number": 0}', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00', 'reason-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.jobs VALUES ('job_id-1', 'kind-1', 2, 'image_id-1', 'trace_id-1', 'other_id-1', 'state-1', 2, 2, '{"number": 1}', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00', 'reason-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.lifecycle_snapshots VALUES (1, 'bucket-0', '{"number": 0}', '{"number": 0}', '2026-01-01 00:00:00+00');
INSERT INTO public.lifecycle_snapshots VALUES (2, 'bucket-1', '{"number": 1}', '{"number": 1}', '2026-01-02 00:00:00+00');
INSERT INTO public.lifecycles VALUES ('bucket-0', '{"number": 0}', 'fingerprint-0', '2026-01-01 00:00:00+00', 'actor-0');
INSERT INTO public.lifecycles VALUES ('bucket-1', '{"number": 1}', 'fingerprint-1', '2026-01-02 00:00:00+00', 'actor-1');
INSERT INTO public.outbox VALUES (1, 'task-0', 'job_id-0', 1, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.outbox VALUES (2, 'task-1', 'job_id-1', 2, '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.policy_bundles VALUES (1, 'digest-0', '\x0000000000000000000000000000000000000000000000000000000000000000', '2026-01-01 00:00:00+00');
INSERT INTO public.policy_bundles VALUES (2, 'digest-1', '\x0101010101010101010101010101010101010101010101010101010101010101', '2026-01-02 00:00:00+00');
INSERT INTO public.policy_state VALUES (1, 1, 1, 1, 1, 1, 1, '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.policy_state VALUES (2, 2, 2, 2, 2, 2, 2, '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.policy_withdrawals VALUES (1, '2026-01-01 00:00:00+00');
INSERT INTO public.policy_withdrawals VALUES (2, '2026-01-02 00:00:00+00');
INSERT INTO public.profiles VALUES ('profile_id-0', 'state-0', 'band-0', 'asserted_ban-0', 'assurance-0', 'region-0', 'choice-0', 'report_flag-0', '2026-01-01 00:00:00+00', 1, 1, 'current_imag-0', '2026-01-01 00:00:00+00');
INSERT INTO public.profiles VALUES ('profile_id-1', 'state-1', 'band-1', 'asserted_ban-1', 'assurance-1', 'region-1', 'choice-1', 'report_flag-1', '2026-01-02 00:00:00+00', 2, 2, 'current_imag-1', '2026-01-02 00:00:00+00');
INSERT INTO public.proof_revocations VALUES ('profile_id-0', 'viewer_id-0', 1);
INSERT INTO public.proof_revocations VALUES ('profile_id-1', 'viewer_id-1', 2);
INSERT INTO public.receipt_head VALUES (1, '');
INSERT INTO public.receipts VALUES (1, 'receipt_id-0', 'image_id-0', 'hash-0', '{"number": 0}', '2026-01-01 00:00:00+00');
INSERT INTO public.receipts VALUES (2, 'receipt_id-1', 'image_id-1', 'hash-1', '{"number": 1}', '2026-01-02 00:00:00+00');
INSERT INTO public.rendition_hashes VALUES (1, 'name-0', '\x0000000000000000000000000000000000000000000000000000000000000000', 1);
INSERT INTO public.rendition_hashes VALUES (2, 'name-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 2);
INSERT INTO public.renditions VALUES ('name-0', 'image_id-0', 'tier-0', 1, 'recipe-0', 'format-0', 1, 1, 1, 'sha256-0', 1, 1, 1, 1, 1, 'manifest-0', 'manifest_id-0', '2026-01-01 00:00:00+00');
INSERT INTO public.renditions VALUES ('name-1', 'image_id-1', 'tier-1', 2, 'recipe-1', 'format-1', 2, 2, 2, 'sha256-1', 2, 2, 2, 2, 2, 'manifest-1', 'manifest_id-1', '2026-01-02 00:00:00+00');
INSERT INTO public.revocations VALUES ('name-0', 'format-0', 'image_id-0', '2026-01-01 00:00:00+00');
INSERT INTO public.revocations VALUES ('name-1', 'format-1', 'image_id-1', '2026-01-02 00:00:00+00');
INSERT INTO public.screenings VALUES ('image_id-0', '\x0000000000000000000000000000000000000000000000000000000000000000', 1);
INSERT INTO public.screenings VALUES ('image_id-1', '\x0101010101010101010101010101010101010101010101010101010101010101', 2);
INSERT INTO public.sweeps VALUES ('sweep_id-0', 'state-0', '{"number": 0}', 1, 'actor-0', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00');
INSERT INTO public.sweeps VALUES ('sweep_id-1', 'state-1', '{"number": 1}', 2, 'actor-1', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00');
INSERT INTO public.trace_jobs VALUES ('trace_id-0', 'state-0', 'reason-0', 1, 'copy_key-0', 'sha256-0', false, 'actor-0', '{"number": 0}', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00', 'sealed_key-0');
INSERT INTO public.trace_jobs VALUES ('trace_id-1', 'state-1', 'reason-1', 2, 'copy_key-1', 'sha256-1', true, 'actor-1', '{"number": 1}', '2026-01-02 00:00:00+00', '2026-01-02 00:00:00+00', 'sealed_key-1');
INSERT INTO public.trace_origins VALUES ('trace_id-0', 'image_id-0');
INSERT INTO public.trace_origins VALUES ('trace_id-1', 'image_id-1');
INSERT INTO public.vaulted VALUES ('image_id-0', '{"number": 0}', '2026-01-01 00:00:00+00');
INSERT INTO public.vaulted VALUES ('image_id-1', '{"number": 1}', '2026-01-02 00:00:00+00');
SELECT pg_catalog.setval('public.audit_entry_id_seq', 2, true);
SELECT pg_catalog.setval('public.changes_change_id_seq', 16, true);
SELECT pg_catalog.setval('public.lifecycle_snapshots_snapshot_id_seq', 2, true);
SELECT pg_catalog.setval('public.outbox_message_id_seq', 2, true);
SELECT pg_catalog.setval('public.receipts_sequence_seq', 2, true);
SELECT pg_catalog.setval('public.rendition_hashes_hash_id_seq', 2, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.abuse_signals
    ADD CONSTRAINT pk_abuse_signals PRIMARY KEY (kind, who, reason);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (entry_id);
ALTER TABLE ONLY public.blocks
    ADD CONSTRAINT pk_blocks PRIMARY KEY (viewer_id, profile_id);
ALTER TABLE ONLY public.canaries
    ADD CONSTRAINT pk_canaries PRIMARY KEY (profile_id);
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT pk_changes PRIMARY KEY (change_id);
ALTER TABLE ONLY public.decision_counts
    ADD CONSTRAINT pk_decision_counts PRIMARY KEY (day, kind, cell);
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT pk_erasures PRIMARY KEY (image_id);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (event_id);
ALTER TABLE ONLY public.hash_list_matches
    ADD CONSTRAINT pk_hash_list_matches PRIMARY KEY (image_id, list, reference);
ALTER TABLE ONLY public.hash_lists
    ADD CONSTRAINT pk_hash_lists PRIMARY KEY (name);
ALTER TABLE ONLY public.held
    ADD CONSTRAINT pk_held PRIMARY KEY (hold_id, image_id);
ALTER TABLE ONLY public.holds
    ADD CONSTRAINT pk_holds PRIMARY KEY (hold_id);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT pk_idempotency PRIMARY KEY (key_hash);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT pk_images PRIMARY KEY (image_id);
ALTER TABLE ONLY public.import_items
    ADD CONSTRAINT pk_import_items PRIMARY KEY (item_id);
ALTER TABLE ONLY public.imports
    ADD CONSTRAINT pk_imports PRIMARY KEY (import_id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (job_id);
ALTER TABLE ONLY public.lifecycle_snapshots
    ADD CONSTRAINT pk_lifecycle_snapshots PRIMARY KEY (snapshot_id);
ALTER TABLE ONLY public.lifecycles
    ADD CONSTRAINT pk_lifecycles PRIMARY KEY (bucket);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT pk_outbox PRIMARY KEY (message_id);
ALTER TABLE ONLY public.policy_bundles
    ADD CONSTRAINT pk_policy_bundles PRIMARY KEY (version);
ALTER TABLE ONLY public.policy_state
    ADD CONSTRAINT pk_policy_state PRIMARY KEY ("only");
ALTER TABLE ONLY public.policy_withdrawals
    ADD CONSTRAINT pk_policy_withdrawals PRIMARY KEY (version);
ALTER TABLE ONLY public.profiles
    ADD CONSTRAINT pk_profiles PRIMARY KEY (profile_id);
ALTER TABLE ONLY public.proof_revocations
    ADD CONSTRAINT pk_proof_revocations PRIMARY KEY (profile_id, viewer_id);
ALTER TABLE ONLY public.receipt_head
    ADD CONSTRAINT pk_receipt_head PRIMARY KEY ("only");
ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT pk_receipts PRIMARY KEY (sequence);
ALTER TABLE ONLY public.rendition_hashes
    ADD CONSTRAINT pk_rendition_hashes PRIMARY KEY (hash_id);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT pk_renditions PRIMARY KEY (name);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT pk_revocations PRIMARY KEY (name);
ALTER TABLE ONLY public.screenings
    ADD CONSTRAINT pk_screenings PRIMARY KEY (image_id);
ALTER TABLE ONLY public.sweeps
    ADD CONSTRAINT pk_sweeps PRIMARY KEY (sweep_id);
ALTER TABLE ONLY public.trace_jobs
    ADD CONSTRAINT pk_trace_jobs PRIMARY KEY (trace_id);
ALTER TABLE ONLY public.trace_origins
    ADD CONSTRAINT pk_trace_origins PRIMARY KEY (trace_id, image_id);
ALTER TABLE ONLY public.vaulted
    ADD CONSTRAINT pk_vaulted PRIMARY KEY (image_id);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT uq_images_original_key UNIQUE (original_key);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT uq_images_profile_id UNIQUE (profile_id, sequence);
ALTER TABLE ONLY public.import_items
    ADD CONSTRAINT uq_import_items_identity UNIQUE (identity);
ALTER TABLE ONLY public.receipts
    ADD CONSTRAINT uq_receipts_receipt_id UNIQUE (receipt_id);
ALTER TABLE ONLY public.rendition_hashes
    ADD CONSTRAINT uq_rendition_hashes_name UNIQUE (name);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT uq_renditions_image_id UNIQUE (image_id, tier, recipe, variant);
CREATE INDEX ix_abuse_signals_last_at ON public.abuse_signals USING btree (last_at);
CREATE INDEX ix_audit_image_id ON public.audit USING btree (image_id);
CREATE INDEX ix_blocks_profile_id ON public.blocks USING btree (profile_id);
CREATE INDEX ix_changes_at ON public.changes USING btree (at);
CREATE INDEX ix_changes_txid ON public.changes USING btree (txid);
CREATE INDEX ix_events_next_at ON public.events USING btree (next_at);
CREATE INDEX ix_hash_list_matches_verdict_found_at ON public.hash_list_matches USING btree (verdict, found_at);
CREATE INDEX ix_held_image_id ON public.held USING btree (image_id);
CREATE INDEX ix_holds_state ON public.holds USING btree (state);
CREATE INDEX ix_idempotency_created_at ON public.idempotency USING btree (created_at);
CREATE INDEX ix_images_created_at ON public.images USING btree (created_at);
CREATE INDEX ix_images_profile_id ON public.images USING btree (profile_id);
CREATE INDEX ix_images_superseded_at ON public.images USING btree (superseded_at);
CREATE INDEX ix_import_items_image_id ON public.import_items USING btree (image_id);
CREATE INDEX ix_import_items_import_id_state ON public.import_items USING btree (import_id, state);
CREATE INDEX ix_import_items_profile_id ON public.import_items USING btree (profile_id);
CREATE INDEX ix_imports_created_at ON public.imports USING btree (created_at);
CREATE INDEX ix_jobs_image_id ON public.jobs USING btree (image_id);
CREATE INDEX ix_jobs_other_id ON public.jobs USING btree (other_id);
CREATE INDEX ix_jobs_state_lane_next_run_at ON public.jobs USING btree (state, lane, next_run_at);
CREATE INDEX ix_jobs_trace_id ON public.jobs USING btree (trace_id);
CREATE INDEX ix_lifecycle_snapshots_bucket ON public.lifecycle_snapshots USING btree (bucket);
CREATE INDEX ix_outbox_job_id ON public.outbox USING btree (job_id);
CREATE INDEX ix_outbox_lane_message_id ON public.outbox USING btree (lane, message_id);
CREATE INDEX ix_proof_revocations_revoked_at ON public.proof_revocations USING btree (revoked_at);
CREATE INDEX ix_receipts_image_id ON public.receipts USING btree (image_id);
CREATE INDEX ix_renditions_image_id ON public.renditions USING btree (image_id);
CREATE INDEX ix_renditions_manifest_id ON public.renditions USING btree (manifest_id);
CREATE INDEX ix_renditions_short_watermark ON public.renditions USING btree (short_watermark);
CREATE INDEX ix_renditions_watermark ON public.renditions USING btree (watermark);
CREATE INDEX ix_revocations_image_id ON public.revocations USING btree (image_id);
CREATE INDEX ix_screenings_revision ON public.screenings USING btree (revision);
CREATE INDEX ix_sweeps_created_at ON public.sweeps USING btree (created_at);
CREATE INDEX ix_trace_jobs_actor_created_at ON public.trace_jobs USING btree (actor, created_at);
CREATE INDEX ix_trace_jobs_state_created_at ON public.trace_jobs USING btree (state, created_at);
CREATE INDEX ix_trace_origins_image_id ON public.trace_origins USING btree (image_id);
CREATE TRIGGER audit_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.audit_append_only();
CREATE TRIGGER blocks_changed AFTER INSERT OR DELETE OR UPDATE ON public.blocks FOR EACH ROW EXECUTE FUNCTION public.blocks_changed();
CREATE TRIGGER canaries_changed AFTER INSERT OR DELETE OR UPDATE ON public.canaries FOR EACH ROW EXECUTE FUNCTION public.canaries_changed();
CREATE TRIGGER images_changed AFTER INSERT OR DELETE OR UPDATE ON public.images FOR EACH ROW EXECUTE FUNCTION public.images_changed();
CREATE TRIGGER profiles_changed AFTER INSERT OR DELETE OR UPDATE ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.profiles_changed();
CREATE TRIGGER proof_revocations_changed AFTER INSERT OR UPDATE ON public.proof_revocations FOR EACH ROW EXECUTE FUNCTION public.proof_revocations_changed();
CREATE TRIGGER renditions_changed AFTER INSERT OR DELETE OR UPDATE ON public.renditions FOR EACH ROW EXECUTE FUNCTION public.renditions_changed();
CREATE TRIGGER revocations_changed AFTER INSERT ON public.revocations FOR EACH ROW EXECUTE FUNCTION public.revocations_changed();
ALTER TABLE ONLY public.erasures
    ADD CONSTRAINT fk_erasures_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.hash_list_matches
    ADD CONSTRAINT fk_hash_list_matches_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.held
    ADD CONSTRAINT fk_held_hold_id FOREIGN KEY (hold_id) REFERENCES public.holds(hold_id);
ALTER TABLE ONLY public.held
    ADD CONSTRAINT fk_held_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT fk_idempotency_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.images
    ADD CONSTRAINT fk_images_profile_id FOREIGN KEY (profile_id) REFERENCES public.profiles(profile_id);
ALTER TABLE ONLY public.import_items
    ADD CONSTRAINT fk_import_items_import_id FOREIGN KEY (import_id) REFERENCES public.imports(import_id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT fk_jobs_trace_id FOREIGN KEY (trace_id) REFERENCES public.trace_jobs(trace_id);
ALTER TABLE ONLY public.rendition_hashes
    ADD CONSTRAINT fk_rendition_hashes_name FOREIGN KEY (name) REFERENCES public.renditions(name);
ALTER TABLE ONLY public.renditions
    ADD CONSTRAINT fk_renditions_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.revocations
    ADD CONSTRAINT fk_revocations_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.screenings
    ADD CONSTRAINT fk_screenings_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.trace_origins
    ADD CONSTRAINT fk_trace_origins_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
ALTER TABLE ONLY public.trace_origins
    ADD CONSTRAINT fk_trace_origins_trace_id FOREIGN KEY (trace_id) REFERENCES public.trace_jobs(trace_id);
ALTER TABLE ONLY public.vaulted
    ADD CONSTRAINT fk_vaulted_image_id FOREIGN KEY (image_id) REFERENCES public.images(image_id);
