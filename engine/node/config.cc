#include "engine/node/config.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <concepts>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "proto/base/assert.h"

namespace kv {

namespace {

constexpr std::int64_t key_bytes_max = 65'535;
/// Room that a shard's term and vote take in the first batch of each WAL segment.
constexpr std::size_t hard_state_room_bytes = 64;
/// A request carries its longest key and some framing beside its value.
constexpr std::int64_t request_overhead_bytes = key_bytes_max + 1024;
/// TOML integers, and so all our numbers, are signed 64 bit.
constexpr std::int64_t int_max = std::numeric_limits<std::int64_t>::max();

// --- the table of keys ---------------------------------------------------------------------------

enum class Kind : std::uint8_t { integer, bytes, duration, text, address, choice };

/// One key of `Target` (Config, or ClusterNode for the keys of [[cluster.nodes]]). Numbers of every
/// kind pass through one signed integer: bytes, nanoseconds, or the position in `choices`.
template <typename Target>
struct Key {
    std::string_view name;
    std::string_view meaning;
    Kind kind;
    std::int64_t min = 0;
    std::int64_t max = 0;
    std::int64_t multiple = 1;
    std::span<const std::string_view> choices = {};
    bool required = false;
    std::int64_t (*number)(const Target&) = nullptr;
    void (*set_number)(Target&, std::int64_t) = nullptr;
    const std::string& (*text)(const Target&) = nullptr;  ///< kinds text and address
    void (*set_text)(Target&, const std::string&) = nullptr;
};

template <typename T>
std::int64_t to_number(const T& value) noexcept {
    if constexpr (std::same_as<T, Duration>)
        return value.count();
    else if constexpr (std::same_as<T, NodeId>)
        return static_cast<std::int64_t>(value.value());
    else
        return static_cast<std::int64_t>(value);
}

template <typename T>
void from_number(std::int64_t number, T& value) noexcept {
    if constexpr (std::same_as<T, NodeId>)
        value = NodeId(static_cast<NodeId::Value>(number));
    else
        value = static_cast<T>(number);
}

/// A row for a number; `access` is a lambda that names the member. The row's bounds fit its type.
template <typename Target, typename Access>
constexpr Key<Target> number_key(Key<Target> row, Access) {
    row.number = [](const Target& target) { return to_number(Access{}(target)); };
    row.set_number = [](Target& target, std::int64_t value) {
        auto& member = Access{}(target);
        from_number(value, member);
        KV_ASSERT(to_number(member) == value, "a bound is wider than its member: {}", value);
    };
    return row;
}
template <typename Target, typename Access>
constexpr Key<Target> text_key(Key<Target> row, Access) {
    row.text = [](const Target& target) -> const std::string& { return Access{}(target); };
    row.set_text = [](Target& target, const std::string& value) { Access{}(target) = value; };
    return row;
}

constexpr std::string_view line_protocols[] = {"auto", "text", "resp"};
constexpr std::string_view read_modes[] = {"linearizable", "lease", "local"};
constexpr std::string_view wal_syncs[] = {"auto", "dsync", "fdatasync"};
constexpr std::string_view log_levels[] = {"trace", "debug",    "info", "warn",
                                           "error", "critical", "off"};
constexpr std::string_view log_formats[] = {"logfmt", "json"};

constexpr std::int64_t ns(Duration duration) {
    return duration.count();
}
constexpr std::int64_t bytes(std::size_t size) {
    return static_cast<std::int64_t>(size);
}

#define KV_MEMBER(member) [](auto& target) -> auto& { return target.member; }

// Keys outside a section come first, as TOML demands; keys of one section stand together.
constexpr Key<Config> config_table[] = {
    number_key<Config>({.name = "reads",
                        .meaning = "How a GET is answered. linearizable: never stale, also after a "
                                   "change of leader.\nlease and local come with clusters and are "
                                   "refused until then.",
                        .kind = Kind::choice,
                        .choices = read_modes},
                       KV_MEMBER(reads)),
    number_key<Config>({.name = "commit_timeout",
                        .meaning = "A write that is not known durable after this time is answered "
                                   "with \"outcome unknown\".",
                        .kind = Kind::duration,
                        .min = ns(10ms),
                        .max = ns(10min)},
                       KV_MEMBER(commit_timeout)),
    number_key<Config>({.name = "node.id",
                        .meaning = "Number of this node. The data directory remembers it and is "
                                   "refused under another one.",
                        .kind = Kind::integer,
                        .min = 1,
                        .max = 4'294'967'295},
                       KV_MEMBER(node.id)),
    text_key<Config>(
        {.name = "node.data_dir",
         .meaning = "Directory for everything that is kept; made when it is not there. "
                    "One process at a time.",
         .kind = Kind::text,
         .min = 1,
         .max = 4096},
        KV_MEMBER(node.data_dir)),
    text_key<Config>({.name = "client.bind",
                      .meaning = "Address to listen on. There is no authentication yet: anything "
                                 "but loopback is open to its network.",
                      .kind = Kind::address},
                     KV_MEMBER(client.bind)),
    number_key<Config>({.name = "client.port",
                        .meaning = "TCP port for clients of all protocols; 0 lets the system "
                                   "choose, the log tells which.",
                        .kind = Kind::integer,
                        .min = 0,
                        .max = 65'535},
                       KV_MEMBER(client.port)),
    number_key<Config>({.name = "client.line_protocol",
                        .meaning = "What a first line that is not RESP and not binary belongs to. "
                                   "auto: ended by CRLF it is\na RESP inline command, by LF alone "
                                   "the text protocol.",
                        .kind = Kind::choice,
                        .choices = line_protocols},
                       KV_MEMBER(client.line_protocol)),
    number_key<Config>({.name = "client.connections_max",
                        .meaning = "Open client connections; further ones are refused, with "
                                   "a line in the log.",
                        .kind = Kind::integer,
                        .min = 1,
                        .max = 1'000'000},
                       KV_MEMBER(client.connections_max)),
    number_key<Config>({.name = "client.stall_timeout",
                        .meaning = "A client that has replies waiting and takes no byte for this "
                                   "long is closed.",
                        .kind = Kind::duration,
                        .min = ns(100ms),
                        .max = ns(24h)},
                       KV_MEMBER(client.stall_timeout)),
    number_key<Config>({.name = "client.output_pause_bytes",
                        .meaning = "Replies not yet taken by a client at which its requests are no "
                                   "longer read.",
                        .kind = Kind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(client.output_pause_bytes)),
    number_key<Config>({.name = "client.pipeline_max",
                        .meaning = "Requests of one connection in work at a time; reading pauses "
                                   "beyond it, nothing is dropped.",
                        .kind = Kind::integer,
                        .min = 1,
                        .max = 65'536},
                       KV_MEMBER(client.pipeline_max)),
    number_key<Config>({.name = "client.pipeline_bytes_max",
                        .meaning = "The same in bytes of requests. A single longer request is "
                                   "served alone.",
                        .kind = Kind::bytes,
                        .min = bytes(4_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(client.pipeline_bytes_max)),
    number_key<Config>({.name = "cluster.shards",
                        .meaning = "Parts into which the keys are divided. Stored with the data: "
                                   "it holds for a new directory only.",
                        .kind = Kind::integer,
                        .min = 1,
                        .max = 1024},
                       KV_MEMBER(cluster.shards)),
    number_key<Config>({.name = "limits.value_bytes_max",
                        .meaning = "Longest value. Also at most a quarter of wal.segment_bytes.",
                        .kind = Kind::bytes,
                        .min = 1,
                        .max = bytes(8_MiB)},
                       KV_MEMBER(limits.value_bytes_max)),
    number_key<Config>({.name = "limits.request_bytes_max",
                        .meaning = "Longest request, all its keys and values together. At least "
                                   "limits.value_bytes_max and 65 KiB.",
                        .kind = Kind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(64_MiB)},
                       KV_MEMBER(limits.request_bytes_max)),
    number_key<Config>({.name = "limits.reply_bytes_max",
                        .meaning = "Bytes that one MGET or KEYS may answer; with more it is an "
                                   "error.",
                        .kind = Kind::bytes,
                        .min = bytes(64_KiB),
                        .max = bytes(1_GiB)},
                       KV_MEMBER(limits.reply_bytes_max)),
    number_key<Config>({.name = "limits.keys_reply_max",
                        .meaning = "Keys that one KEYS may answer; with more it is an error.",
                        .kind = Kind::integer,
                        .min = 1,
                        .max = 100'000'000},
                       KV_MEMBER(limits.keys_reply_max)),
    number_key<Config>({.name = "wal.segment_bytes",
                        .meaning = "Size of one file of the write-ahead log. Each is allocated "
                                   "whole before it is used.",
                        .kind = Kind::bytes,
                        .min = bytes(16_KiB),
                        .max = bytes(256_MiB),
                        .multiple = 4096},
                       KV_MEMBER(wal.segment_bytes)),
    number_key<Config>(
        {.name = "wal.sync",
         .meaning = "How a write is made durable before its reply. dsync: with the "
                    "write itself; fdatasync: by a\ncall after it; auto: dsync where "
                    "the file system takes it. All three are equally safe.",
         .kind = Kind::choice,
         .choices = wal_syncs},
        KV_MEMBER(wal.sync)),
    number_key<Config>({.name = "wal.batch_bytes_max",
                        .meaning = "Writes gathered for one sync. Also at most a quarter of "
                                   "wal.segment_bytes, and at\nleast 64 bytes for each of "
                                   "cluster.shards.",
                        .kind = Kind::bytes,
                        .min = bytes(4_KiB),
                        .max = bytes(64_MiB),
                        .multiple = 4096},
                       KV_MEMBER(wal.batch_bytes_max)),
    number_key<Config>({.name = "wal.bytes_max",
                        .meaning = "Room for all segments, beyond which writes are refused; 0: as "
                                   "much as the disk holds.",
                        .kind = Kind::bytes,
                        .min = 0,
                        .max = int_max},
                       KV_MEMBER(wal.bytes_max)),
    number_key<Config>({.name = "reactor.cpu",
                        .meaning = "CPU that the event loop is pinned to; -1: the scheduler "
                                   "chooses.",
                        .kind = Kind::integer,
                        .min = -1,
                        .max = 4095},
                       KV_MEMBER(reactor.cpu)),
    number_key<Config>({.name = "reactor.poll_us",
                        .meaning = "Microseconds that an idle event loop looks for work before it "
                                   "sleeps. Costs CPU, saves wake-up time.",
                        .kind = Kind::integer,
                        .min = 0,
                        .max = 100'000},
                       KV_MEMBER(reactor.poll_us)),
    number_key<Config>({.name = "log.level",
                        .meaning = "Least important level that is logged.",
                        .kind = Kind::choice,
                        .choices = log_levels},
                       KV_MEMBER(log.level)),
    number_key<Config>({.name = "log.format",
                        .meaning = "One record is one line on standard error. json is refused "
                                   "until it exists.",
                        .kind = Kind::choice,
                        .choices = log_formats},
                       KV_MEMBER(log.format)),
};

constexpr std::string_view nodes_name = "cluster.nodes";
constexpr Key<ClusterNode> node_table[] = {
    number_key<ClusterNode>({.name = "cluster.nodes.id",
                             .meaning = "node.id of that node.",
                             .kind = Kind::integer,
                             .min = 1,
                             .max = 4'294'967'295,
                             .required = true},
                            KV_MEMBER(id)),
    text_key<ClusterNode>({.name = "cluster.nodes.host",
                           .meaning = "Name or address at which the other nodes and clients reach "
                                      "it.",
                           .kind = Kind::text,
                           .min = 1,
                           .max = 255,
                           .required = true},
                          KV_MEMBER(host)),
    number_key<ClusterNode>({.name = "cluster.nodes.peer_port",
                             .meaning = "TCP port for the other nodes.",
                             .kind = Kind::integer,
                             .min = 1,
                             .max = 65'535},
                            KV_MEMBER(peer_port)),
    number_key<ClusterNode>({.name = "cluster.nodes.client_port",
                             .meaning = "TCP port for clients.",
                             .kind = Kind::integer,
                             .min = 1,
                             .max = 65'535},
                            KV_MEMBER(client_port)),
};

#undef KV_MEMBER

// --- values and their texts ----------------------------------------------------------------------

struct Unit {
    std::string_view name;
    std::int64_t factor;
};
// Largest first: that is the order in which printing tries them.
constexpr Unit size_units[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
constexpr Unit time_units[] = {{"h", ns(1h)},   {"min", ns(1min)}, {"s", ns(1s)},
                               {"ms", ns(1ms)}, {"us", ns(1us)},   {"ns", 1}};

std::span<const Unit> units_of(Kind kind) noexcept {
    if (kind == Kind::bytes) return size_units;
    if (kind == Kind::duration) return time_units;
    return {};
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || stopped != end) return std::nullopt;
    return value;
}

/// "64MiB", "64 MiB", "50ms"; a bare number only where `bare` allows it (bytes).
std::optional<std::int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units,
                                            bool bare) noexcept {
    if (const auto plain = parse_integer(text); plain && (bare || *plain == 0)) return plain;
    for (const Unit& unit : units) {
        if (!text.ends_with(unit.name)) continue;
        std::string_view digits = text.substr(0, text.size() - unit.name.size());
        while (digits.ends_with(' ')) digits.remove_suffix(1);
        std::int64_t value = 0;
        const auto count = parse_integer(digits);
        if (count && !__builtin_mul_overflow(*count, unit.factor, &value)) return value;
    }
    return std::nullopt;
}

std::string with_unit(std::int64_t value, Kind kind) {
    if (value == 0) return kind == Kind::duration ? "0s" : "0";
    for (const Unit& unit : units_of(kind)) {
        // 60s reads better than 1min, and plain bytes need no unit.
        if (unit.name == "min" || unit.name == "B") continue;
        if (value % unit.factor == 0) return fmt::format("{}{}", value / unit.factor, unit.name);
    }
    return fmt::format("{}", value);
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out += {'\\', c};
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\u{:04x}", byte);
        else
            out += c;
    }
    return out + '"';
}

bool is_address(const std::string& text) noexcept {
    in6_addr address;
    return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
           inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

template <typename Target>
std::string expected(const Key<Target>& key) {
    switch (key.kind) {
        case Kind::integer: return fmt::format("an integer from {} to {}", key.min, key.max);
        case Kind::bytes: {
            std::string out = "a size ";
            if (key.max == int_max)
                out += fmt::format("of {} or more", with_unit(key.min, key.kind));
            else
                out += fmt::format("from {} to {}", with_unit(key.min, key.kind),
                                   with_unit(key.max, key.kind));
            if (key.multiple > 1)
                out += fmt::format(", a multiple of {}", with_unit(key.multiple, key.kind));
            return out;
        }
        case Kind::duration:
            return fmt::format("a duration from {} to {}", with_unit(key.min, key.kind),
                               with_unit(key.max, key.kind));
        case Kind::text:
            return fmt::format("a string of {} to {} bytes without NUL", key.min, key.max);
        case Kind::address: return "an IPv4 or IPv6 address in quotes";
        case Kind::choice: {
            std::string out;
            for (std::size_t i = 0; i < key.choices.size(); ++i) {
                if (i > 0) out += i + 1 == key.choices.size() ? " or " : ", ";
                out += quoted(key.choices[i]);
            }
            return out;
        }
    }
    KV_UNREACHABLE();
}

template <typename Target>
std::string value_as_toml(const Key<Target>& key, const Target& target) {
    switch (key.kind) {
        case Kind::integer: return fmt::format("{}", key.number(target));
        case Kind::bytes:
        case Kind::duration: {
            const std::string text = with_unit(key.number(target), key.kind);
            return parse_integer(text) ? text : quoted(text);
        }
        case Kind::text:
        case Kind::address: return quoted(key.text(target));
        case Kind::choice: return quoted(key.choices[static_cast<std::size_t>(key.number(target))]);
    }
    KV_UNREACHABLE();
}

/// A value as the file or a flag gave it.
struct Given {
    std::optional<std::int64_t> integer;
    std::optional<std::string> text;
    std::string shown;  ///< for messages
};

/// Stores `given`, or says what would have been right.
template <typename Target>
Status assign(const Key<Target>& key, const Given& given, Target& target) {
    const auto refuse = [&] {
        return fail(Errc::config,
                    fmt::format("{}: expected {}, found {}", key.name, expected(key), given.shown));
    };
    std::optional<std::int64_t> number;
    switch (key.kind) {
        case Kind::integer: number = given.integer; break;
        case Kind::bytes:
        case Kind::duration:
            // A bare 5 would be five of what? Durations name their unit; a size is in bytes.
            if (given.integer && (key.kind == Kind::bytes || *given.integer == 0))
                number = given.integer;
            else if (given.text)
                number = parse_with_unit(*given.text, units_of(key.kind), key.kind == Kind::bytes);
            break;
        case Kind::choice: {
            if (!given.text) return refuse();
            const auto found = std::ranges::find(key.choices, std::string_view(*given.text));
            if (found == key.choices.end()) return refuse();
            key.set_number(target, found - key.choices.begin());
            return {};
        }
        case Kind::text:
        case Kind::address: {
            if (!given.text || given.text->find('\0') != std::string::npos) return refuse();
            const auto size = static_cast<std::int64_t>(given.text->size());
            if (key.kind == Kind::text && (size < key.min || size > key.max)) return refuse();
            if (key.kind == Kind::address && !is_address(*given.text)) return refuse();
            key.set_text(target, *given.text);
            return {};
        }
    }
    if (!number || *number < key.min || *number > key.max || *number % key.multiple != 0)
        return refuse();
    key.set_number(target, *number);
    return {};
}

// --- the nearest right key -----------------------------------------------------------------------

/// Levenshtein distance: insertions, deletions and replacements of one byte.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
        }
    }
    return row[b.size()];
}

std::string_view last_part(std::string_view name) noexcept {
    return name.substr(name.rfind('.') + 1);  // npos + 1 is 0
}

std::string_view section_of(std::string_view name) noexcept {
    const std::size_t dot = name.rfind('.');
    return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

/// Finds the key, or the section, that `name` was probably meant to be. A right key in the wrong
/// section (or in none) counts as near, whatever the section; the whole name decides between
/// several.
class Nearest {
public:
    explicit Nearest(std::string_view name) : name_(name) {}

    void consider(std::string_view candidate) {
        const std::size_t whole = edit_distance(name_, candidate);
        const std::size_t part = edit_distance(last_part(name_), last_part(candidate));
        const std::pair distance{std::min(whole, part), whole};
        if (distance >= distance_) return;
        best_ = candidate;
        distance_ = distance;
    }
    std::string_view best() const noexcept { return best_; }

private:
    std::string_view name_;
    std::string_view best_;
    std::pair<std::size_t, std::size_t> distance_{~0u, ~0u};
};

std::string unknown_key(std::string_view name) {
    Nearest nearest(name);
    for (const auto& key : config_table) nearest.consider(key.name);
    nearest.consider(nodes_name);
    for (const auto& key : node_table) nearest.consider(key.name);
    return fmt::format("unknown key {}; did you mean \"{}\"?", quoted(name), nearest.best());
}

std::string unknown_section(std::string_view name) {
    Nearest nearest(name);
    for (const auto& key : config_table)
        if (!section_of(key.name).empty()) nearest.consider(section_of(key.name));
    return fmt::format("unknown section [{}]; did you mean [{}]?", name, nearest.best());
}

// --- checks over several keys --------------------------------------------------------------------

struct Problem {
    std::string_view key;  ///< the one to change, for the line number
    std::string text;
};

void check_nodes(const Config& config, std::vector<Problem>& problems) {
    const auto& nodes = config.cluster.nodes;
    if (nodes.empty()) return;
    std::set<NodeId> ids;
    std::set<std::pair<std::string, std::uint16_t>> addresses;
    for (const ClusterNode& node : nodes) {
        if (!ids.insert(node.id).second)
            problems.push_back(
                {nodes_name, fmt::format("cluster.nodes: id {} is listed twice", node.id.value())});
        if (!addresses.emplace(node.host, node.peer_port).second)
            problems.push_back({nodes_name, fmt::format("cluster.nodes: {}:{} is listed twice",
                                                        node.host, node.peer_port)});
        if (node.peer_port == node.client_port)
            problems.push_back(
                {nodes_name, fmt::format("cluster.nodes: node {} has port {} for peers and clients",
                                         node.id.value(), node.peer_port)});
    }
    if (!ids.contains(config.node.id))
        problems.push_back({nodes_name, fmt::format("cluster.nodes: node.id {} is not among them",
                                                    config.node.id.value())});
}

std::vector<Problem> problems_of(const Config& config) {
    std::vector<Problem> problems;
    const auto size = [](std::size_t value) { return with_unit(bytes(value), Kind::bytes); };
    if (config.reads != ReadMode::linearizable)
        problems.push_back(
            {"reads", fmt::format("reads: \"{}\" is not available yet; expected \"linearizable\"",
                                  read_modes[static_cast<std::size_t>(config.reads)])});
    if (config.log.format != LogFormat::logfmt)
        problems.push_back(
            {"log.format", "log.format: \"json\" is not available yet; expected \"logfmt\""});
    const std::size_t quarter = config.wal.segment_bytes / 4;
    if (config.limits.value_bytes_max > quarter)
        problems.push_back(
            {"limits.value_bytes_max",
             fmt::format("limits.value_bytes_max: {} is more than a quarter of wal.segment_bytes "
                         "({}); expected at most {}",
                         size(config.limits.value_bytes_max), size(config.wal.segment_bytes),
                         size(quarter))});
    if (config.wal.batch_bytes_max > quarter)
        problems.push_back(
            {"wal.batch_bytes_max",
             fmt::format("wal.batch_bytes_max: {} is more than a quarter of wal.segment_bytes "
                         "({}); expected at most {}",
                         size(config.wal.batch_bytes_max), size(config.wal.segment_bytes),
                         size(quarter))});
    // A segment begins with the hard states of all shards, in one batch.
    const std::size_t hard_states = config.cluster.shards * hard_state_room_bytes;
    if (config.wal.batch_bytes_max < hard_states)
        problems.push_back(
            {"wal.batch_bytes_max",
             fmt::format("wal.batch_bytes_max: {} does not hold what {} shards write together; "
                         "expected at least {}",
                         size(config.wal.batch_bytes_max), config.cluster.shards,
                         size(hard_states))});
    if (config.wal.bytes_max != 0 && config.wal.bytes_max / 4 < config.wal.segment_bytes)
        problems.push_back(
            {"wal.bytes_max",
             fmt::format("wal.bytes_max: {} does not hold four segments of {}; expected 0 or more",
                         size(config.wal.bytes_max), size(config.wal.segment_bytes))});
    const std::int64_t request_min = bytes(config.limits.value_bytes_max) + request_overhead_bytes;
    if (bytes(config.limits.request_bytes_max) < request_min)
        problems.push_back(
            {"limits.request_bytes_max",
             fmt::format("limits.request_bytes_max: {} does not hold the longest key and a value "
                         "of limits.value_bytes_max ({}); expected at least {}",
                         size(config.limits.request_bytes_max), size(config.limits.value_bytes_max),
                         request_min)});
    check_nodes(config, problems);
    return problems;
}

// --- reading TOML --------------------------------------------------------------------------------

void append_line(std::string& text, std::string_view line) {
    if (!text.empty()) text += '\n';
    text += line;
}

/// Walks the parsed document and collects everything that is wrong with it.
class Reader {
public:
    explicit Reader(std::string_view file_name) : file_name_(file_name) {}

    Result<Config> read(const toml::table& document) {
        read_table(document, "");
        // Bounds that depend on a value that was refused would only repeat the complaint.
        if (errors_.empty()) {
            for (const Problem& problem : problems_of(config_)) {
                const auto at = lines_.find(problem.key);
                add(at == lines_.end() ? 0 : at->second, problem.text);
            }
        }
        if (errors_.empty()) return std::move(config_);
        std::string text;
        for (const auto& [line, message] : errors_) append_line(text, message);
        return fail(Errc::config, std::move(text));
    }

private:
    /// `line` 0: nothing in the file says it.
    void add(std::uint32_t line, std::string_view text) {
        errors_.emplace(line, line == 0 ? fmt::format("{}: {}", file_name_, text)
                                        : fmt::format("{}:{}: {}", file_name_, line, text));
    }

    static std::uint32_t line_of(const toml::node& node) {
        return static_cast<std::uint32_t>(node.source().begin.line);
    }

    static std::string kind_of(const toml::node& node) {
        switch (node.type()) {
            case toml::node_type::table: return "a table";
            case toml::node_type::array: return "an array";
            case toml::node_type::floating_point: return "a fraction";
            case toml::node_type::boolean: return "a boolean";
            case toml::node_type::date:
            case toml::node_type::time:
            case toml::node_type::date_time: return "a date or time";
            case toml::node_type::none:
            case toml::node_type::string:
            case toml::node_type::integer: break;
        }
        return "a value";
    }

    static Given given_of(const toml::node& node) {
        if (const auto* integer = node.as_integer())
            return {
                .integer = integer->get(), .text = {}, .shown = fmt::format("{}", integer->get())};
        if (const auto* text = node.as_string())
            return {.integer = {}, .text = text->get(), .shown = quoted(text->get())};
        return {.integer = {}, .text = {}, .shown = kind_of(node)};
    }

    /// `prefix` is empty, or the dotted name of the table and a dot.
    void read_table(const toml::table& table, const std::string& prefix) {
        for (const auto& [key, node] : table) {
            const std::string name = prefix + std::string(key.str());
            const auto line = static_cast<std::uint32_t>(key.source().begin.line);
            const auto row = std::ranges::find(config_table, name, &Key<Config>::name);
            if (row != std::end(config_table)) {
                lines_.emplace(row->name, line);
                if (Status done = assign(*row, given_of(node), config_); !done)
                    add(line, done.error().detail);
            } else if (name == nodes_name) {
                lines_.emplace(nodes_name, line);
                read_nodes(node, line);
            } else if (const toml::table* inner = node.as_table(); inner && !inner->empty()) {
                read_table(*inner, name + '.');
            } else if (!is_section(name)) {
                add(line, inner ? unknown_section(name) : unknown_key(name));
            } else if (!inner) {
                add(line, fmt::format("{}: expected a section [{}], found {}", name, name,
                                      given_of(node).shown));
            }
        }
    }

    static bool is_section(std::string_view name) {
        return std::ranges::any_of(config_table, [&](const Key<Config>& key) {
            return key.name.starts_with(name) && key.name.substr(name.size()).starts_with('.');
        });
    }

    void read_nodes(const toml::node& node, std::uint32_t line) {
        const toml::array* list = node.as_array();
        if (list == nullptr)
            return add(line, fmt::format("cluster.nodes: expected [[cluster.nodes]], one for each "
                                         "node, found {}",
                                         given_of(node).shown));
        for (const toml::node& element : *list) {
            const toml::table* table = element.as_table();
            if (table == nullptr)
                add(line_of(element), fmt::format("cluster.nodes: expected a table, found {}",
                                                  given_of(element).shown));
            else
                read_node(*table);
        }
    }

    void read_node(const toml::table& table) {
        ClusterNode out;
        std::set<std::string_view> seen;
        for (const auto& [key, node] : table) {
            const std::string name = fmt::format("{}.{}", nodes_name, key.str());
            const auto line = static_cast<std::uint32_t>(key.source().begin.line);
            const auto row = std::ranges::find(node_table, name, &Key<ClusterNode>::name);
            if (row == std::end(node_table)) {
                add(line, unknown_key(name));
                continue;
            }
            seen.insert(row->name);
            if (Status done = assign(*row, given_of(node), out); !done)
                add(line, done.error().detail);
        }
        for (const auto& row : node_table)
            if (row.required && !seen.contains(row.name))
                add(line_of(table),
                    fmt::format("{} is missing: expected {}", row.name, expected(row)));
        config_.cluster.nodes.push_back(std::move(out));
    }

    std::string_view file_name_;
    Config config_;
    std::map<std::string_view, std::uint32_t> lines_;   ///< where each key was given
    std::multimap<std::uint32_t, std::string> errors_;  ///< by line; equal ones as they were found
};

// --- writing TOML --------------------------------------------------------------------------------

/// `text` as comment lines of at most 100 columns; its line breaks stay.
void append_comment(std::string& out, std::string_view text) {
    constexpr std::size_t columns_max = 100;
    while (!text.empty()) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        while (!line.empty()) {
            std::size_t size = line.size();
            if (size + 2 > columns_max) {
                size = line.rfind(' ', columns_max - 2);
                KV_ASSERT(size != std::string_view::npos, "a word of 98 columns");
            }
            out += fmt::format("# {}\n", line.substr(0, size));
            line.remove_prefix(std::min(line.size(), size + 1));
        }
    }
}

std::string capitalised(std::string text) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
    return text;
}

template <typename Target>
void append_documented(std::string& out, const Key<Target>& key, std::string_view default_value) {
    append_comment(out, key.meaning);
    std::string facts = capitalised(expected(key));
    facts +=
        default_value.empty() ? "; must be given." : fmt::format("; default {}.", default_value);
    append_comment(out, facts);
}

template <typename Target>
std::string default_of(const Key<Target>& key) {
    return key.required ? std::string() : value_as_toml(key, Target{});
}

void append_nodes(std::string& out, const std::vector<ClusterNode>& nodes) {
    append_comment(out,
                   "The nodes of a cluster, this one among them; none: a cluster of one. More than "
                   "one is refused: clusters of several nodes come with the next release.");
    for (const auto& key : node_table) {
        out += fmt::format("#\n# {}: ", last_part(key.name));
        std::string rest;
        append_documented(rest, key, default_of(key));
        out += rest.substr(2);  // goes on in the same line
    }
    out += "#\n";
    if (nodes.empty()) {
        out += "# [[cluster.nodes]]\n";
        const ClusterNode example{.id = NodeId(1), .host = "127.0.0.1"};
        for (const auto& key : node_table)
            out += fmt::format("# {} = {}\n", last_part(key.name), value_as_toml(key, example));
    }
    for (const ClusterNode& node : nodes) {
        out += "[[cluster.nodes]]\n";
        for (const auto& key : node_table)
            out += fmt::format("{} = {}\n", last_part(key.name), value_as_toml(key, node));
    }
}

}  // namespace

Result<Config> parse_config(std::string_view toml, std::string_view file_name) {
    try {
        return Reader(file_name).read(toml::parse(toml, file_name));
    } catch (const toml::parse_error& error) {
        return fail(Errc::config, fmt::format("{}:{}: {}", file_name, error.source().begin.line,
                                              error.description()));
    }
}

Result<Config> load_config(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        return fail(Errc::config, fmt::format("{}: cannot open the configuration file", path));
    std::string text;
    char chunk[4096];
    do {
        file.read(chunk, sizeof chunk);  // of a directory it reads nothing, and is bad
        text.append(chunk, static_cast<std::size_t>(file.gcount()));
    } while (file);
    if (file.bad())
        return fail(Errc::config, fmt::format("{}: cannot read the configuration file", path));
    return parse_config(text, path);
}

Status set_key(Config& config, std::string_view dotted_key, std::string_view value) {
    const auto row = std::ranges::find(config_table, dotted_key, &Key<Config>::name);
    if (row == std::end(config_table)) return fail(Errc::config, unknown_key(dotted_key));
    Given given{.integer = {}, .text = std::string(value), .shown = quoted(value)};
    if (row->kind == Kind::integer) given.integer = parse_integer(value);
    return assign(*row, given, config);
}

Status check_config(const Config& config) {
    std::string text;
    for (const Problem& problem : problems_of(config)) append_line(text, problem.text);
    if (text.empty()) return {};
    return fail(Errc::config, std::move(text));
}

std::string print_config(const Config& config) {
    std::string out;
    std::string_view section;
    for (std::size_t i = 0; i < std::size(config_table); ++i) {
        const Key<Config>& key = config_table[i];
        if (section_of(key.name) != section) {
            section = section_of(key.name);
            out += fmt::format("\n[{}]\n", section);
        } else if (i > 0) {
            out += '\n';
        }
        append_documented(out, key, default_of(key));
        out += fmt::format("{} = {}\n", last_part(key.name), value_as_toml(key, config));
        const bool section_ends =
            i + 1 == std::size(config_table) || section_of(config_table[i + 1].name) != section;
        if (section == "cluster" && section_ends) {
            out += '\n';
            append_nodes(out, config.cluster.nodes);
        }
    }
    return out;
}

std::vector<ConfigKey> config_keys() {
    std::vector<ConfigKey> keys;
    const auto add = [&](const auto& table) {
        for (const auto& key : table)
            keys.push_back({.name = std::string(key.name),
                            .meaning = std::string(key.meaning),
                            .expected = expected(key),
                            .default_value = default_of(key)});
    };
    add(config_table);
    add(node_table);
    return keys;
}

}  // namespace kv
