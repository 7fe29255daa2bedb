"""The sections of the configuration (pure): frozen values, each part of the bridge gets only its own.

Every field is made by `setting`, which is the single place for its environment name, default, bounds and help; the
parser, the command line, `bridge config` and the table of docs/configuration.md are all read from here.
"""

from dataclasses import dataclass, field

from bridge import limits
from bridge.config.setting import setting

#: What `WORKERS=auto` is read as.
WORKERS_AUTO = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """The HTTP side: listening, limits, keys, origins."""

    host: str = setting("HOST", "127.0.0.1", "Address to listen on")
    port: int = setting("PORT", 8000, "Port to listen on; 0 takes a free one", within=(0, 65535))
    workers: int = setting(
        "WORKERS",
        1,
        "Processes that serve; more than one needs Iggy; auto is one for each usable core, one on the embedded log",
        within=(1, limits.WORKERS_MAX),
        word=("auto", WORKERS_AUTO),
    )
    operation_timeout_s: float = setting(
        "OPERATION_TIMEOUT_SECS", 30.0, "Longest time for one request", within=(0.1, 300)
    )
    request_body_bytes_max: int = setting(
        "MAX_REQUEST_BODY_SIZE", 10_485_760, "Largest request body in bytes", within=(1024, 64 * 1024 * 1024)
    )
    in_flight_requests_max: int = setting(
        "MAX_IN_FLIGHT_REQUESTS",
        2000,
        "Most requests that one worker holds; fewer are at work while its event loop is late, others wait for a second and then get 503 `overloaded`",
        within=(1, 100_000),
    )
    in_flight_body_bytes_max: int = setting(
        "MAX_IN_FLIGHT_BODY_BYTES",
        134_217_728,
        "Most bytes of request bodies that one worker holds at a time; beyond them bodies get 503 `overloaded`",
        within=(1024 * 1024, 2**40),
    )
    batch_messages_max: int = setting("BATCH_MAX_SIZE", 1000, "Most events in one batch", within=(1, 100_000))
    poll_messages_max: int = setting(
        "POLL_MAX_COUNT", 100, "Most messages in one poll", within=(1, limits.PAGE_MESSAGES_MAX)
    )
    rate_limit_rps: int = setting(
        "RATE_LIMIT_RPS",
        100,
        "Requests per second and client address, and as many acks, nacks and extensions besides; 0 switches it off",
        within=(0, 1_000_000),
    )
    rate_limit_burst: int = setting(
        "RATE_LIMIT_BURST", 50, "Requests one address may make at once", within=(1, 1_000_000)
    )
    rate_limit_storage_uri: str | None = setting(
        "RATE_LIMIT_STORAGE_URI",
        None,
        "redis://, rediss:// or unix:// address of a Redis in which replicas count requests, wrong keys and what "
        "keys may take together, and used tickets; else each counts by itself",
        secret=True,
    )
    rate_limit_on_error: str = setting(
        "RATE_LIMIT_ON_ERROR",
        "open",
        "While that Redis is away: open counts by itself, closed refuses requests with 503 `limits_unavailable`",
        choices=("open", "closed"),
    )
    trusted_proxies: tuple[str, ...] = setting(
        "TRUSTED_PROXIES",
        (),
        "Networks (CIDR) whose X-Forwarded-For, X-Real-IP and Forwarded are believed, comma-separated",
    )
    api_key: str | None = setting("API_KEY", None, "The key that callers must send as X-API-Key", secret=True)
    keys_file: str | None = setting(
        "KEYS_FILE",
        None,
        "File of keys that each may do what it says, made by `bridge keys add`; read again when it changes",
    )
    keys_pepper: str | None = setting(
        "KEYS_PEPPER",
        None,
        "Secret under which keys are hashed (HMAC-SHA-256) where `bridge keys add` is given it; 16 characters or more",
        secret=True,
        file_field="keys_pepper_file",
    )
    keys_pepper_file: str | None = None
    cursor_key: str | None = setting(
        "CURSOR_KEY",
        None,
        "Signs cursors, 16 characters or more: replicas with the same key read each other's, and those of before a restart; "
        "the embedded log keeps one of its own in DATA_DIR",
        secret=True,
    )
    allow_anonymous: bool = setting(
        "ALLOW_ANONYMOUS", False, "Serve without an API key on an address other than loopback"
    )
    allowed_hosts: tuple[str, ...] = setting(
        "ALLOWED_HOSTS",
        (),
        "Names that Host may have besides this machine's own (without API_KEY, or where this is set), comma-separated; "
        "*.example.com for all below it, * for any",
    )
    auth_bypass_paths: tuple[str, ...] = setting(
        "AUTH_BYPASS_PATHS",
        ("/health", "/ready"),
        "Paths served without a key, matched exactly, comma-separated",
    )
    cors_allowed_origins: tuple[str, ...] = setting(
        "CORS_ALLOWED_ORIGINS", (), "Origins that browsers may call from, comma-separated, or *"
    )
    keepalive_timeout_s: float = setting(
        "KEEPALIVE_TIMEOUT_SECS",
        limits.KEEPALIVE_TIMEOUT_S,
        "How long a connection may be idle; longer than the proxy in front keeps it",
        within=(1, limits.KEEPALIVE_TIMEOUT_S_MAX),
    )
    shutdown_grace_s: float = setting(
        "SHUTDOWN_GRACE_SECS", limits.SHUTDOWN_GRACE_S, "Longest time for a drain", within=(0.1, 600)
    )
    drain_delay_s: float = setting(
        "DRAIN_DELAY_SECS",
        0.0,
        "Time between turning not ready and closing the port, for load balancers to notice",
        within=(0, 60),
    )

    @property
    def asks_for_keys(self) -> bool:
        return self.api_key is not None or self.keys_file is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfig:
    """TLS of the main port; used only when *cert_file* is set. The port of the metrics speaks plain HTTP."""

    cert_file: str | None = setting(
        "TLS_CERT_FILE",
        None,
        "PEM file of the certificate and those between it and the root: the main port speaks TLS; read again when it changes",
    )
    key_file: str | None = setting(
        "TLS_KEY_FILE",
        None,
        "PEM file of its key, without a passphrase; where it is not set, the key is in TLS_CERT_FILE",
    )
    client_ca_file: str | None = setting(
        "TLS_CLIENT_CA_FILE", None, "PEM file of the authorities whose client certificates are believed"
    )
    client_crl_file: str | None = setting(
        "TLS_CLIENT_CRL_FILE",
        None,
        "PEM file of the lists of revoked certificates (CRL) of those authorities: what is in one is refused; read again likewise",
    )
    client_auth: str = setting(
        "TLS_CLIENT_AUTH",
        "required",
        "With TLS_CLIENT_CA_FILE: required, or optional for clients that may come without a certificate",
        choices=("required", "optional"),
    )
    version_min: str = setting("TLS_VERSION_MIN", "1.2", "Oldest TLS that is spoken", choices=("1.2", "1.3"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What both logs need: the default topic and what an acknowledgement means."""

    stream: str = setting(
        "IGGY_STREAM", "sample-stream", "Default stream, made at start, and again when somebody deleted it"
    )
    topic: str = setting("IGGY_TOPIC", "events", "Default topic, likewise")
    partitions: int = setting(
        "IGGY_PARTITIONS", 3, "Partitions of the default topic", within=(1, limits.PARTITIONS_MAX)
    )
    partitions_max: int = setting(
        "MAX_PARTITIONS",
        limits.PARTITIONS_IN_ALL,
        "Partitions of all topics together, beyond which none are made over HTTP; each takes 4 descriptors of Iggy",
        within=(1, 1_000_000),
    )
    durability: str = setting(
        "DURABILITY",
        "persisted",
        "What 201 means for topics made by the bridge on Iggy; the embedded log always syncs",
        choices=("persisted", "replicated"),
    )
    stats_cache_ttl_s: float = setting(
        "STATS_CACHE_TTL_SECS", 5.0, "How often the figures of /stats are renewed", within=(0.1, 3600)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IggyConfig:
    """The connection to Iggy; used only when *connection_string* is set."""

    connection_string: str | None = setting(
        "IGGY_CONNECTION_STRING",
        None,
        "iggy://user:password@host:port of an Iggy server, or host:port,host:port of a cluster; "
        "without it the embedded log is used",
        secret=True,
    )
    reconnect_attempts_max: int = setting(
        "MAX_RECONNECT_ATTEMPTS",
        0,
        "Attempts to reconnect before giving up with exit 69; 0 is without end",
        within=(0, 1_000_000),
    )
    reconnect_base_delay_ms: int = setting(
        "RECONNECT_BASE_DELAY_MS", 1000, "First delay between attempts", within=(1, 600_000)
    )
    reconnect_delay_ms_max: int = setting(
        "RECONNECT_MAX_DELAY_MS", 30_000, "Longest delay between attempts", within=(1, 3_600_000)
    )
    health_check_interval_s: float = setting(
        "HEALTH_CHECK_INTERVAL_SECS",
        30.0,
        "How often the connection is tried in the background",
        within=(0.05, 3600),
    )
    breaker_failures: int = setting(
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD",
        5,
        "Failures in a row that open the circuit breaker",
        within=(1, 10_000),
    )
    breaker_successes: int = setting(
        "CIRCUIT_BREAKER_SUCCESS_THRESHOLD",
        2,
        "Probes in a row that must succeed to close it",
        within=(1, 10_000),
    )
    breaker_open_s: float = setting(
        "CIRCUIT_BREAKER_OPEN_DURATION_SECS",
        30.0,
        "How long it stays open before a probe",
        within=(0.01, 3600),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLogConfig:
    """The embedded log; used when no Iggy is configured."""

    data_dir: str = setting("DATA_DIR", "./data", "Directory of the embedded log")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsConfig:
    """Groups of consumers, and the stream in which replicas agree on what they did."""

    stream: str = setting(
        "GROUPS_STREAM", "bridge-groups", "Stream of the ledger of groups, made when the first group is used"
    )
    visibility_ms: int = setting(
        "GROUPS_VISIBILITY_MS",
        30_000,
        "How long a group's message is out where a request names no time",
        within=(limits.GROUP_VISIBILITY_MS_MIN, limits.GROUP_VISIBILITY_MS_MAX),
    )
    unused_s: float = setting(
        "GROUPS_UNUSED_SECS",
        limits.GROUP_UNUSED_S,
        "A group that nobody used for so long ends, and goes on at its committed offset when it comes again; 0 keeps it",
        within=(0, limits.RETENTION_AGE_S_MAX),
    )
    max_deliveries: int = setting(
        "GROUPS_MAX_DELIVERIES",
        5,
        "Deliveries of a message before it goes to the dead-letter topic, where a request names no number",
        within=(1, limits.GROUP_DELIVERIES_MAX),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensConfig:
    """Which tokens of an identity provider are taken."""

    issuer: str | None = setting(
        "JWT_ISSUER", None, "Take bearer tokens (JWT) of this issuer, as their `iss` has it; unset: none"
    )
    audience: tuple[str, ...] = setting(
        "JWT_AUDIENCE", (), "What their `aud` must have, one of these at least, comma-separated"
    )
    jwks_url: str | None = setting(
        "JWT_JWKS_URL",
        None,
        "Where the issuer publishes its keys, as its discovery document says: https://...",
    )
    secret: str | None = setting(
        "JWT_SECRET",
        None,
        "Secret shared with the issuer, in place of JWT_JWKS_URL, 32 characters or more; for HS256, HS384, HS512",
        secret=True,
    )
    algorithms: tuple[str, ...] = setting(
        "JWT_ALGORITHMS", ("RS256",), "Algorithms that they may be signed by, comma-separated"
    )
    claim: str = setting(
        "JWT_CLAIM",
        "scope",
        "The claim that says what they may, in words such as produce:orders/* or role:editor; a.b for one within another",
    )
    type: str = setting("JWT_TYPE", "", "What their header's `typ` must be, such as at+jwt; empty: anything")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionConfig:
    """What of the log is encrypted, and under which keys."""

    keys: str | None = setting(
        "ENCRYPTION_KEYS",
        None,
        "Keys for stored payloads, ID:BASE64 of 32 bytes each, comma-separated or a line each; new messages take the first",
        secret=True,
        file_field="keys_file",
    )
    keys_file: str | None = None
    topics: tuple[str, ...] = setting(
        "ENCRYPTED_TOPICS",
        (),
        "Topics whose payloads are stored encrypted, STREAM/TOPIC with * for any characters, comma-separated; * for all",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveConfig:
    """Logs and metrics."""

    log_level: str = setting(
        "LOG_LEVEL", "info", "Least level that is logged", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting(
        "LOG_FORMAT",
        "auto",
        "json, console, or auto: console on a terminal, else json",
        choices=("auto", "json", "console"),
    )
    tracing: str = setting(
        "TRACING",
        "propagate",
        "propagate: keep the traceparent and tracestate of a request in the headers of its messages; otlp: and export spans, "
        "as the OTEL_ variables say; off: read neither",
        choices=("propagate", "otlp", "off"),
    )
    audit_file: str | None = setting(
        "AUDIT_FILE",
        None,
        "File of the audit log: who changed what, and who was refused; unset: none is kept",
    )
    audit_requests: str = setting(
        "AUDIT_REQUESTS",
        "changes",
        "changes: what changes streams, topics, offsets and groups, and every refusal; all: each request",
        choices=("changes", "all"),
    )
    canary_per_minute: int = setting(
        "CANARY_PER_MINUTE",
        0,
        "So often a message of the bridge's own is stored in GROUPS_STREAM and read back, for bridge_canary_*; 0: never",
        within=(0, limits.CANARY_PER_MINUTE_MAX),
    )
    metrics_port: int | None = setting(
        "METRICS_PORT",
        None,
        "Serve /metrics on this port instead, without a key, /health and /ready there as well; 0 switches it off",
        within=(0, 65535),
    )

    @property
    def exports_spans(self) -> bool:
        return self.tracing == "otlp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole configuration; only the wiring sees it."""

    http: HttpConfig = field(default_factory=HttpConfig)
    tokens: TokensConfig = field(default_factory=TokensConfig)
    tls: TlsConfig = field(default_factory=TlsConfig)
    log: LogConfig = field(default_factory=LogConfig)
    iggy: IggyConfig = field(default_factory=IggyConfig)
    local: LocalLogConfig = field(default_factory=LocalLogConfig)
    groups: GroupsConfig = field(default_factory=GroupsConfig)
    encryption: EncryptionConfig = field(default_factory=EncryptionConfig)
    observe: ObserveConfig = field(default_factory=ObserveConfig)

    @property
    def asks_for_credentials(self) -> bool:
        return self.http.asks_for_keys or self.tokens.issuer is not None
