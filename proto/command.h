#pragma once

/// What clients ask, independent of the protocol they speak. A Request views the bytes it was
/// parsed from: it is used before they are recycled, or copied.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proto/base/errc.h"

namespace kv {

/// Numbers are stable: they are the opcodes of the extended binary frame (proto/binary).
enum class Verb : std::uint8_t {
    invalid = 0,  ///< a request that its codec refused: see Request::error
    ping = 1,     ///< [message]
    echo = 2,     ///< message
    get = 3,      ///< key
    set = 4,      ///< key value [option]...: see proto/command_options.h
    del = 5,      ///< key...
    exists = 6,   ///< key...
    mget = 7,     ///< key...
    mset = 8,     ///< (key value)...
    keys = 9,     ///< [glob pattern]; without one: all
    dbsize = 10,
    flushall = 11,  ///< [ASYNC|SYNC], checked by the codec
    command = 12,
    config_get = 13,  ///< pattern...
    info = 14,        ///< [section]...
    select = 15,      ///< database number
    quit = 16,
    client_setinfo = 17,  ///< attribute value
    add_server = 18,      ///< id host raft_port client_port, checked by the codec
    remove_server = 19,   ///< id, checked by the codec
    type = 20,            ///< key
    strlen = 21,          ///< key
    append = 22,          ///< key value
    incr = 23,            ///< key
    decr = 24,            ///< key
    incrby = 25,          ///< key increment
    decrby = 26,          ///< key decrement
    setnx = 27,           ///< key value
    getset = 28,          ///< key value
    getdel = 29,          ///< key
    getex = 30,           ///< key; options are refused
    delex = 31,           ///< key [IFEQ value | IFREV revision]
    revision = 32,        ///< key
    unlink = 33,          ///< key...
    touch = 34,           ///< key...
    getrange = 35,        ///< key start end
    substr = 36,          ///< key start end
    ttl = 37,             ///< key, as the next four
    pttl = 38,
    expiretime = 39,
    pexpiretime = 40,
    persist = 41,
    randomkey = 42,
    object_encoding = 43,  ///< key, as the next three
    object_freq = 44,
    object_idletime = 45,
    object_refcount = 46,
    memory_usage = 47,  ///< key [SAMPLES count]
    scan = 48,          ///< cursor [MATCH pattern] [COUNT count] [TYPE type]
    flushdb = 49,       ///< as flushall
    wait = 50,          ///< replicas timeout_ms
    lastsave = 51,
    time = 52,
    role = 53,
    hello = 54,  ///< [version [AUTH user password] [SETNAME name]]
    auth = 55,   ///< [user] password
    reset = 56,
    client_id = 57,
    client_setname = 58,
    client_getname = 59,
    client_info = 60,
    client_list = 61,
    client_kill = 62,  ///< address, or filters
    client_no_evict = 63,
    client_no_touch = 64,
    client_reply = 65,
    client_tracking = 66,
    client_trackinginfo = 67,
    client_caching = 68,
    client_getredir = 69,
    client_pause = 70,
    client_unpause = 71,
    client_unblock = 72,
    client_help = 73,
    config_set = 74,
    config_resetstat = 75,
    config_rewrite = 76,
    config_help = 77,
    command_count = 78,
    command_list = 79,
    command_info = 80,
    command_docs = 81,
    command_getkeys = 82,
    command_getkeysandflags = 83,
    command_help = 84,
    object_help = 85,  ///< without arguments, as all that end so
    memory_help = 86,
    slowlog_get = 87,
    slowlog_len = 88,
    slowlog_reset = 89,
    slowlog_help = 90,
    readonly = 91,
    readwrite = 92,
    asking = 93,
    bgsave = 94,  ///< [SCHEDULE]
    cluster_info = 95,
    cluster_nodes = 96,
    cluster_slots = 97,
    cluster_shards = 98,
    cluster_myid = 99,
    cluster_myshardid = 100,
    cluster_keyslot = 101,          ///< key
    cluster_countkeysinslot = 102,  ///< slot
    cluster_getkeysinslot = 103,    ///< slot count
    cluster_help = 104,
    cluster_map = 105,       ///< see proto/shard_map.h
    cluster_transfer = 106,  ///< shard node
};

/// The last verb: all numbers from 1 to it are verbs.
inline constexpr Verb verb_last = Verb::cluster_transfer;

/// How a reply is to be written. A connection speaks one family for good; within binary, each
/// request says whether it is an extended frame, and within RESP, HELLO changes the version.
enum class Protocol : std::uint8_t { text, binary, binary_extended, resp, resp3 };

inline bool is_resp(Protocol protocol) noexcept {
    return protocol >= Protocol::resp;
}

struct Request {
    Verb verb = Verb::invalid;
    Protocol protocol = Protocol::text;
    std::span<const std::string_view> args;  ///< without the verb; views the input
    std::uint64_t request_id = 0;            ///< binary_extended: echoed in the reply
    std::uint64_t session = 0;               ///< binary_extended; 0: none
    std::uint64_t sequence = 0;
    // verb == invalid:
    Errc error = Errc::syntax;
    std::string
        error_text;  ///< in the idiom of the protocol, without its prefix ("ERROR ", "-ERR ")
};

/// Bounds that codecs check before they keep or allocate anything.
struct RequestLimits {
    std::size_t key_bytes_max = 65535;
    std::size_t value_bytes_max = 1u << 20;
    std::size_t args_max = 1u << 20;
    std::size_t inline_bytes_max = 64u << 10;   ///< RESP inline line
    std::size_t request_bytes_max = 16u << 20;  ///< all bytes of one request
};

}  // namespace kv
