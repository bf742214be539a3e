/// What clients see, byte by byte, from a whole node in the simulator.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "proto/command_table.h"
#include "tests/support/sim_server.h"
#include "tests/unit/node/session_script.h"

namespace kv {
namespace {

struct Exchange {
    std::string request;
    std::string reply;
};

/// One connection, one exchange after the other.
void play(std::span<const Exchange> exchanges, Config config = small_config()) {
    SimServer server(1, std::move(config));
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    for (const Exchange& e : exchanges) {
        EXPECT_EQ(client->exchange(e.request, e.reply.size()), e.reply)
            << "to " << testing::PrintToString(e.request);
        ASSERT_FALSE(client->ended());
    }
}

TEST(TextSession, EveryVerbAndEveryError) {
    const Exchange exchanges[] = {
        {"PING\n", "PONG\n"},
        {"PING x\n", "ERROR PING takes no arguments\n"},
        {"KEYS\n", "KEYS\n"},
        {"GET a\n", "NOT_FOUND\n"},
        {"SET a 1\n", "OK\n"},
        {"SET b two words  and more \r\n", "OK\n"},
        {"SET B x\n", "OK\n"},
        {"GET a\n", "VALUE 1\n"},
        {"GET b\n", "VALUE two words  and more \n"},
        {"KEYS\n", "KEYS B a b\n"},
        {"KEYS a\n", "ERROR KEYS takes no arguments\n"},
        {"DEL a\n", "DELETED\n"},
        {"DEL a\n", "NOT_FOUND\n"},
        {"GET a\n", "NOT_FOUND\n"},
        {"\n", "ERROR empty command\n"},
        {"\r\n", "ERROR empty command\n"},
        {"get a\n", "ERROR unknown command: get\n"},
        {" GET a\n", "ERROR unknown command: \n"},
        {"FOO bar\n", "ERROR unknown command: FOO\n"},
        {"GET\n", "ERROR GET requires a key\n"},
        {"GET a b\n", "ERROR GET takes exactly one argument\n"},
        {"DEL\n", "ERROR DEL requires a key\n"},
        {"DEL a b\n", "ERROR DEL takes exactly one argument\n"},
        {"SET\n", "ERROR SET requires a key and a value\n"},
        {"SET  v\n", "ERROR SET: key must not be empty after tokenisation\n"},
        {"SET k\n", "ERROR SET requires a value\n"},
        {"SET k " + std::string(8193, 'v') + "\n",
         "ERROR value is longer than limits.value_bytes_max\n"},
        {"SET k " + std::string(8192, 'v') + "\n", "OK\n"},
        {"GET k\n", "VALUE " + std::string(8192, 'v') + "\n"},
        {"ADDSERVER 2 h 1 2\n", "ERROR ADDSERVER not available in standalone mode\n"},
        {"ADDSERVER 2 h 1\n", "ERROR ADDSERVER requires: id host raft_port client_port\n"},
        {"ADDSERVER 2 h 1 2 3\n", "ERROR ADDSERVER takes exactly 4 arguments\n"},
        {"ADDSERVER 0 h 1 2\n", "ERROR ADDSERVER: invalid node id\n"},
        {"ADDSERVER 2 h 0 2\n", "ERROR ADDSERVER: invalid raft_port\n"},
        {"ADDSERVER 2 h 1 65536\n", "ERROR ADDSERVER: invalid client_port\n"},
        {"REMOVESERVER 2\n", "ERROR REMOVESERVER not available in standalone mode\n"},
        {"REMOVESERVER\n", "ERROR REMOVESERVER requires a node id\n"},
        {"REMOVESERVER 1 2\n", "ERROR REMOVESERVER takes exactly one argument\n"},
        {"REMOVESERVER x\n", "ERROR REMOVESERVER: invalid node id\n"},
    };
    play(exchanges);
}

TEST(RespSession, EveryVerbAndEveryError) {
    const Exchange exchanges[] = {
        {resp_array({"PING"}), "+PONG\r\n"},
        {resp_array({"ping", "hello"}), "$5\r\nhello\r\n"},
        {resp_array({"PING", "a", "b"}), "-ERR wrong number of arguments for 'ping' command\r\n"},
        {resp_array({"ECHO", "a\r\nb"}), "$4\r\na\r\nb\r\n"},
        {resp_array({"ECHO"}), "-ERR wrong number of arguments for 'echo' command\r\n"},
        {resp_array({"GET", "a"}), "$-1\r\n"},
        {resp_array({"SET", "a", "1"}), "+OK\r\n"},
        {resp_array({"set", "empty", ""}), "+OK\r\n"},
        {resp_array({"GET", "a"}), "$1\r\n1\r\n"},
        {resp_array({"GET", "empty"}), "$0\r\n\r\n"},
        {resp_array({"GET"}), "-ERR wrong number of arguments for 'get' command\r\n"},
        {resp_array({"SET", "a", "1", "FOO"}), "-ERR syntax error\r\n"},
        {resp_array({"SET", "", "1"}), "-ERR key must have 1 to 65535 bytes\r\n"},
        {resp_array({"SET", "a", std::string(8193, 'v')}),
         "-ERR value is longer than limits.value_bytes_max\r\n"},
        {resp_array({"MSET", "x1", "1", "x2", "2", "x3", "3", "x4", "4", "x5", "5"}), "+OK\r\n"},
        {resp_array({"MSET", "x1"}), "-ERR wrong number of arguments for 'mset' command\r\n"},
        {resp_array({"MGET", "x1", "x5", "none", "x3"}),
         "*4\r\n$1\r\n1\r\n$1\r\n5\r\n$-1\r\n$1\r\n3\r\n"},
        {resp_array({"EXISTS", "x1", "x1", "none", "a"}), ":3\r\n"},
        {resp_array({"DBSIZE"}), ":7\r\n"},
        {resp_array({"DEL", "x1", "x2", "none", "x1"}), ":2\r\n"},
        {resp_array({"DEL", "none"}), ":0\r\n"},
        {resp_array({"KEYS", "nothing*"}), "*0\r\n"},
        {resp_array({"KEYS", "x3"}), "*1\r\n$2\r\nx3\r\n"},
        {resp_array({"KEYS"}), "-ERR wrong number of arguments for 'keys' command\r\n"},
        {resp_array({"FLUSHALL", "NOW"}), "-ERR syntax error\r\n"},
        {resp_array({"FLUSHALL", "async"}), "+OK\r\n"},
        {resp_array({"DBSIZE"}), ":0\r\n"},
        {resp_array({"SELECT", "0"}), "+OK\r\n"},
        {resp_array({"SELECT", "1"}), "-ERR DB index is out of range\r\n"},
        {resp_array({"SELECT", "x"}), "-ERR value is not an integer or out of range\r\n"},
        {resp_array({"CLIENT", "SETINFO", "LIB-NAME", "x"}), "+OK\r\n"},
        {resp_array({"CLIENT", "SETINFO", "LIB-NAME", "x y"}),
         "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n"},
        {resp_array({"CLIENT", "FOO"}), "-ERR unknown subcommand 'FOO'. Try CLIENT HELP.\r\n"},
        {resp_array({"COMMAND", "DOCS", "nosuch"}), "*0\r\n"},
        {resp_array({"CONFIG", "GET", "append*"}),
         "*4\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"},
        {resp_array({"CONFIG", "GET", "MAXMEMORY"}), "*2\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"},
        {resp_array({"CONFIG", "SET", "maxmemory", "1gb"}), "+OK\r\n"},
        {resp_array({"CONFIG", "GET", "maxmemory"}),
         "*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n"},
        {resp_array({"CONFIG", "SET", "maxmemory", "2M"}), "+OK\r\n"},
        {resp_array({"CONFIG", "GET", "limits.maxmemory"}),
         "*2\r\n$16\r\nlimits.maxmemory\r\n$7\r\n2000000\r\n"},
        {resp_array({"CONFIG", "SET", "maxmemory", "much"}),
         "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - argument must be a "
         "memory value\r\n"},
        {resp_array({"CONFIG", "SET", "limits.maxmemory", "0"}), "+OK\r\n"},
        {resp_array({"CONFIG", "GET", "nosuch"}), "*0\r\n"},
        {resp_array({"INFO", "cluster"}), "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n"},
        {resp_array({"ADDSERVER", "2", "h", "1", "2"}),
         "-ERR ADDSERVER not available in standalone mode\r\n"},
        {resp_array({"REMOVESERVER", "2"}),
         "-ERR REMOVESERVER not available in standalone mode\r\n"},
        {resp_array({"FOO", "bar"}),
         "-ERR unknown command 'FOO', with args beginning with: 'bar' \r\n"},
        {"*0\r\n\r\n" + resp_array({"PING"}), "+PONG\r\n"},
        {"PING\r\nSET a 1\r\nSET b \"2 3\"\r\nGET a\r\nGET b\r\n",
         "+PONG\r\n+OK\r\n+OK\r\n$1\r\n1\r\n$3\r\n2 3\r\n"},
    };
    play(exchanges);
}

/// The elements of a RESP array of bulk strings.
std::vector<std::string> elements(std::string_view reply) {
    std::vector<std::string> found;
    for (std::size_t at = reply.find('$'); at != reply.npos; at = reply.find('$', at + 1)) {
        const std::size_t line_end = reply.find("\r\n", at);
        const std::size_t bytes = std::stoul(std::string(reply.substr(at + 1, line_end - at - 1)));
        found.emplace_back(reply.substr(line_end + 2, bytes));
    }
    std::ranges::sort(found);
    return found;
}

const std::string not_integer = "-ERR value is not an integer or out of range\r\n";

TEST(RespSession, WritesOfOneKey) {
    const Exchange exchanges[] = {
        {resp_array({"SET", "a", "1", "XX"}), "$-1\r\n"},
        {resp_array({"SET", "a", "1", "NX"}), "+OK\r\n"},
        {resp_array({"SET", "a", "2", "NX"}), "$-1\r\n"},
        {resp_array({"SET", "a", "2", "XX"}), "+OK\r\n"},
        {resp_array({"SET", "a", "3", "GET"}), "$1\r\n2\r\n"},
        {resp_array({"SET", "b", "1", "GET"}), "$-1\r\n"},
        {resp_array({"SET", "b", "2", "NX", "GET"}), "$1\r\n1\r\n"},
        {resp_array({"SET", "b", "2", "IFEQ", "x"}), "$-1\r\n"},
        {resp_array({"SET", "b", "2", "IFEQ", "1"}), "+OK\r\n"},
        {resp_array({"SET", "none", "2", "IFEQ", ""}), "$-1\r\n"},
        {resp_array({"SET", "c", "2", "IFREV", "0"}), "+OK\r\n"},
        {resp_array({"SET", "c", "2", "IFREV", "0"}), "$-1\r\n"},
        {resp_array({"SET", "c", "3", "KEEPTTL"}), "+OK\r\n"},
        {resp_array({"DELEX", "c", "IFEQ", "2"}), ":0\r\n"},
        {resp_array({"DELEX", "c", "IFEQ", "3"}), ":1\r\n"},
        {resp_array({"DELEX", "c"}), ":0\r\n"},
        {resp_array({"SETNX", "c", "1"}), ":1\r\n"},
        {resp_array({"SETNX", "c", "2"}), ":0\r\n"},
        {resp_array({"GETSET", "c", "5"}), "$1\r\n1\r\n"},
        {resp_array({"GETSET", "d", "5"}), "$-1\r\n"},
        {resp_array({"GETDEL", "d"}), "$1\r\n5\r\n"},
        {resp_array({"GETDEL", "d"}), "$-1\r\n"},
        {resp_array({"APPEND", "d", "ab"}), ":2\r\n"},
        {resp_array({"APPEND", "d", "cd"}), ":4\r\n"},
        {resp_array({"APPEND", "d", std::string(8189, 'v')}),
         "-ERR value is longer than limits.value_bytes_max\r\n"},
        {resp_array({"INCR", "c"}), ":6\r\n"},
        {resp_array({"DECR", "c"}), ":5\r\n"},
        {resp_array({"INCRBY", "c", "-7"}), ":-2\r\n"},
        {resp_array({"DECRBY", "c", "-4"}), ":2\r\n"},
        {resp_array({"DECR", "new"}), ":-1\r\n"},
        {resp_array({"INCR", "d"}), not_integer},
        {resp_array({"INCRBY", "c", "x"}), not_integer},
        {resp_array({"DECRBY", "c", "-9223372036854775808"}), "-ERR decrement would overflow\r\n"},
        {resp_array({"SET", "c", "9223372036854775807"}), "+OK\r\n"},
        {resp_array({"INCR", "c"}), "-ERR increment or decrement would overflow\r\n"},
        {resp_array({"GET", "c"}), "$19\r\n9223372036854775807\r\n"},
        {resp_array({"UNLINK", "a", "b", "nosuch"}), ":2\r\n"},
        {resp_array({"FLUSHDB"}), "+OK\r\n"},
        {resp_array({"DBSIZE"}), ":0\r\n"},
    };
    play(exchanges);
}

TEST(RespSession, ReadsOfOneKey) {
    const Exchange exchanges[] = {
        {resp_array({"SET", "a", "hello"}), "+OK\r\n"},
        {resp_array({"TYPE", "a"}), "+string\r\n"},
        {resp_array({"TYPE", "none"}), "+none\r\n"},
        {resp_array({"STRLEN", "a"}), ":5\r\n"},
        {resp_array({"STRLEN", "none"}), ":0\r\n"},
        {resp_array({"GETRANGE", "a", "1", "3"}), "$3\r\nell\r\n"},
        {resp_array({"GETRANGE", "a", "-3", "-1"}), "$3\r\nllo\r\n"},
        {resp_array({"GETRANGE", "a", "-99", "99"}), "$5\r\nhello\r\n"},
        {resp_array({"GETRANGE", "a", "3", "1"}), "$0\r\n\r\n"},
        {resp_array({"GETRANGE", "a", "-1", "-3"}), "$0\r\n\r\n"},
        {resp_array({"GETRANGE", "a", "9", "99"}), "$0\r\n\r\n"},
        {resp_array({"GETRANGE", "a", "-9223372036854775808", "9223372036854775807"}),
         "$5\r\nhello\r\n"},
        {resp_array({"SUBSTR", "none", "0", "-1"}), "$0\r\n\r\n"},
        {resp_array({"GETEX", "a"}), "$5\r\nhello\r\n"},
        {resp_array({"GETEX", "a", "PERSIST"}), "$5\r\nhello\r\n"},
        {resp_array({"TTL", "a"}), ":-1\r\n"},
        {resp_array({"PTTL", "none"}), ":-2\r\n"},
        {resp_array({"EXPIRETIME", "a"}), ":-1\r\n"},
        {resp_array({"PEXPIRETIME", "none"}), ":-2\r\n"},
        {resp_array({"PERSIST", "a"}), ":0\r\n"},
        {resp_array({"EXISTS", "a"}), ":1\r\n"},
        {resp_array({"TOUCH", "none"}), ":0\r\n"},
        {resp_array({"TOUCH", "a", "a", "none"}), ":2\r\n"},
        {resp_array({"KV.REVISION", "a"}), ":1\r\n"},
        {resp_array({"KV.REVISION", "none"}), "$-1\r\n"},
        {resp_array({"MEMORY", "USAGE", "a"}), ":32\r\n"},
        {resp_array({"MEMORY", "USAGE", "none"}), "$-1\r\n"},
        {resp_array({"OBJECT", "ENCODING", "a"}), "$6\r\nembstr\r\n"},
        {resp_array({"OBJECT", "ENCODING", "none"}), "$-1\r\n"},
        {resp_array({"OBJECT", "REFCOUNT", "a"}), ":1\r\n"},
        {resp_array({"OBJECT", "IDLETIME", "a"}),
         "-ERR idle time is not tracked: keys are not evicted\r\n"},
        {resp_array({"OBJECT", "FREQ", "none"}), "$-1\r\n"},
        {resp_array({"RANDOMKEY"}), "$1\r\na\r\n"},
        {resp_array({"SCAN", "0"}), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"},
        {resp_array({"SCAN", "0", "TYPE", "list"}), "*2\r\n$1\r\n0\r\n*0\r\n"},
        {resp_array({"SCAN", "0", "MATCH", "b*"}), "*2\r\n$1\r\n0\r\n*0\r\n"},
        {resp_array({"SCAN", "0", "TYPE", "STRING", "MATCH", "*"}),
         "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"},
        // A shard that does not exist: the end.
        {resp_array({"SCAN", "18446744073709551615"}), "*2\r\n$1\r\n0\r\n*0\r\n"},
        {resp_array({"WAIT", "1", "0"}), ":0\r\n"},
        {resp_array({"FLUSHALL"}), "+OK\r\n"},
        {resp_array({"RANDOMKEY"}), "$-1\r\n"},
    };
    play(exchanges);
}

/// The reply to HELLO of the client with this id.
std::string hello_reply(bool resp3, int id) {
    return std::string(resp3 ? "%7" : "*14") +
           "\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:" +
           (resp3 ? "3" : "2") + "\r\n$2\r\nid\r\n:" + std::to_string(id) +
           "\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n"
           "*0\r\n";
}

TEST(RespSession, HelloChangesTheVersionOfWhatComesBehind) {
    const std::string no_cluster = "-ERR This instance has cluster support disabled\r\n";
    const Exchange exchanges[] = {
        {resp_array({"HELLO"}), hello_reply(false, 1)},
        {resp_array({"HELLO", "4"}), "-NOPROTO unsupported protocol version\r\n"},
        {resp_array({"HELLO", "x"}), "-ERR Protocol version is not an integer or out of range\r\n"},
        {resp_array({"HELLO", "3", "foo"}), "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {resp_array({"HELLO", "3", "AUTH", "x"}), "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {resp_array({"HELLO", "3", "AUTH", "x", "y"}),
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {resp_array({"HELLO", "3", "SETNAME", "a b"}),
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {resp_array({"GET", "none"}), "$-1\r\n"},
        {resp_array({"HELLO", "3", "AUTH", "default", "y", "SETNAME", "me"}) +
             resp_array({"GET", "none"}),
         hello_reply(true, 1) + "_\r\n"},
        {resp_array({"CLIENT", "GETNAME"}), "$2\r\nme\r\n"},
        {resp_array({"SET", "a", "1"}), "+OK\r\n"},
        {resp_array({"SET", "a", "1", "NX"}), "_\r\n"},
        {resp_array({"MGET", "a", "none"}), "*2\r\n$1\r\n1\r\n_\r\n"},
        {resp_array({"CONFIG", "GET", "appendonly"}), "%1\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"},
        {resp_array({"INFO", "cluster"}), "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n"},
        {resp_array({"CLIENT", "TRACKINGINFO"}),
         "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*"
         "0\r\n"},
        {resp_array({"COMMAND", "INFO", "nosuch"}), "*1\r\n_\r\n"},
        {resp_array({"COMMAND", "GETKEYSANDFLAGS", "GET", "k"}),
         "*1\r\n*2\r\n$1\r\nk\r\n~2\r\n+RO\r\n+access\r\n"},
        {resp_array({"COMMAND", "DOCS", "echo"}),
         "%1\r\n$4\r\necho\r\n%5\r\n$7\r\nsummary\r\n$21\r\nEcho the given "
         "string\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n"
         "$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n%2\r\n$4\r\nname\r\n"
         "$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n"},
        {resp_array({"HELLO"}), hello_reply(true, 1)},
        {resp_array({"HELLO", "2"}) + resp_array({"GET", "none"}),
         hello_reply(false, 1) + "$-1\r\n"},
        {resp_array({"HELLO", "3"}), hello_reply(true, 1)},
        {resp_array({"RESET"}), "+RESET\r\n"},
        {resp_array({"GET", "none"}), "$-1\r\n"},
        {resp_array({"CLIENT", "GETNAME"}), "$-1\r\n"},
        {resp_array({"READONLY"}), no_cluster},
        {resp_array({"READWRITE"}), no_cluster},
        {resp_array({"ASKING"}), no_cluster},
        {resp_array({"CLUSTER", "SLOTS"}), no_cluster},
        {resp_array({"AUTH", "x"}),
         "-ERR AUTH <password> called without any password configured for the default user. Are "
         "you sure your configuration is correct?\r\n"},
        {resp_array({"AUTH", "x", "y"}),
         "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {resp_array({"AUTH", "default", "y"}), "+OK\r\n"},
        {resp_array({"AUTH", "a", "b", "c"}), "-ERR syntax error\r\n"},
    };
    play(exchanges);
}

TEST(RespSession, ClientCommands) {
    const std::string syntax = "-ERR syntax error\r\n";
    const Exchange exchanges[] = {
        {resp_array({"CLIENT", "ID"}), ":1\r\n"},
        {resp_array({"CLIENT", "SETNAME", "me"}), "+OK\r\n"},
        {resp_array({"CLIENT", "SETNAME", "a\nb"}),
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {resp_array({"CLIENT", "GETNAME"}), "$2\r\nme\r\n"},
        {resp_array({"CLIENT", "NO-EVICT", "on"}), "+OK\r\n"},
        {resp_array({"CLIENT", "NO-TOUCH", "x"}), syntax},
        {resp_array({"CLIENT", "TRACKING", "OFF"}), "+OK\r\n"},
        {resp_array({"CLIENT", "TRACKING", "ON"}), "-ERR CLIENT TRACKING is not supported\r\n"},
        {resp_array({"CLIENT", "GETREDIR"}), ":-1\r\n"},
        {resp_array({"CLIENT", "UNBLOCK", "5"}), ":0\r\n"},
        {resp_array({"CLIENT", "UNBLOCK", "x"}), not_integer},
        {resp_array({"CLIENT", "UNPAUSE"}), "+OK\r\n"},
        {resp_array({"CLIENT", "PAUSE", "-1"}), "-ERR timeout is negative\r\n"},
        {resp_array({"CLIENT", "REPLY", "x"}), syntax},
        {resp_array({"CLIENT", "LIST", "TYPE", "x"}), "-ERR Unknown client type 'x'\r\n"},
        {resp_array({"CLIENT", "LIST", "TYPE", "pubsub"}), "$0\r\n\r\n"},
        {resp_array({"CLIENT", "LIST", "ID", "x"}), "-ERR Invalid client ID\r\n"},
        {resp_array({"CLIENT", "LIST", "ID", "77"}), "$0\r\n\r\n"},
        {resp_array({"CLIENT", "LIST", "x"}), syntax},
        {resp_array({"CLIENT", "KILL", "1.2.3.4:5"}), "-ERR No such client\r\n"},
        {resp_array({"CLIENT", "KILL", "ID", "77"}), ":0\r\n"},
        {resp_array({"CLIENT", "KILL", "ID", "0"}), "-ERR client-id should be greater than 0\r\n"},
        {resp_array({"CLIENT", "KILL", "ID", "1"}), ":0\r\n"},  // SKIPME
        {resp_array({"CLIENT", "KILL", "TYPE", "x"}), "-ERR Unknown client type 'x'\r\n"},
        {resp_array({"CLIENT", "KILL", "USER", "x"}), "-ERR No such user 'x'\r\n"},
        {resp_array({"CLIENT", "KILL", "SKIPME", "x"}), syntax},
        {resp_array({"CLIENT", "KILL", "x", "y"}), syntax},
    };
    play(exchanges);
}

TEST(RespSession, ClientReplyDropsExactlyTheRepliesItShould) {
    SimServer server(11);
    ASSERT_TRUE(server.start().has_value());
    // The same whether replies wait behind a write or not.
    for (const bool behind : {false, true}) {
        const std::string first = behind ? resp_array({"SET", "w", "1"}) : "";
        server.expect(
            first + resp_array({"CLIENT", "REPLY", "SKIP"}) + resp_array({"ECHO", "no"}) +
                resp_array({"ECHO", "yes"}) + resp_array({"CLIENT", "REPLY", "OFF"}) +
                resp_array({"SET", "k", "1"}) + resp_array({"GET", "k"}) +
                resp_array({"CLIENT", "REPLY", "SKIP"}) + resp_array({"MGET", "k"}) +
                resp_array({"NOSUCH"}) + resp_array({"CLIENT", "REPLY", "ON"}) +
                resp_array({"GET", "k"}) + resp_array({"CLIENT", "REPLY", "SKIP"}) +
                resp_array({"INCR", "k"}) + resp_array({"GET", "k"}),
            std::string(behind ? "+OK\r\n" : "") + "$3\r\nyes\r\n+OK\r\n$1\r\n1\r\n$1\r\n2\r\n");
    }
}

TEST(RespSession, ClientKillClosesOthersAndItselfBehindItsReply) {
    SimServer server(12);
    ASSERT_TRUE(server.start().has_value());
    const auto first = server.connect();
    const auto second = server.connect();
    EXPECT_EQ(first->exchange(resp_array({"CLIENT", "ID"}), 4), ":1\r\n");
    EXPECT_EQ(second->exchange(resp_array({"CLIENT", "ID"}), 4), ":2\r\n");
    EXPECT_EQ(first->exchange(resp_array({"CLIENT", "SETNAME", "first"}), 5), "+OK\r\n");
    first->send(resp_array({"CLIENT", "LIST"}) + resp_array({"PING"}));
    ASSERT_TRUE(
        server.world.run_until([&] { return first->received().ends_with("+PONG\r\n"); }, 60s));
    const std::string list = first->take();
    EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 5) << list;
    EXPECT_NE(list.find("id=1 addr=127.0.0.1:"), list.npos) << list;
    EXPECT_NE(list.find(" name=first age=0 idle=0 flags=N db=0 "), list.npos) << list;
    EXPECT_NE(list.find(" cmd=client|list user=default redir=-1 resp=2 "), list.npos) << list;
    EXPECT_NE(list.find(" cmd=client|id "), list.npos) << list;
    EXPECT_EQ(first->exchange(resp_array({"CLIENT", "KILL", "ID", "2"}), 4), ":1\r\n");
    EXPECT_TRUE(second->wait_end());
    first->send(resp_array({"CLIENT", "KILL", "SKIPME", "no"}) + resp_array({"PING"}));
    EXPECT_TRUE(first->wait_end());
    EXPECT_EQ(first->take(), ":1\r\n");
}

TEST(RespSession, SettingsChangeAtRunTimeOrSayWhatToDo) {
    const std::string related = "-ERR CONFIG SET failed (possibly related to argument ";
    const Exchange exchanges[] = {
        {resp_array({"CONFIG", "SET", "nosuch", "1"}),
         "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n"},
        {resp_array({"CONFIG", "SET", "maxclients", "x"}),
         related + "'maxclients') - argument couldn't be parsed into an integer\r\n"},
        {resp_array({"CONFIG", "SET", "slowlog-max-len", "5", "SLOWLOG-MAX-LEN", "6"}),
         related + "'SLOWLOG-MAX-LEN') - duplicate parameter\r\n"},
        {resp_array({"CONFIG", "SET", "slowlog-max-len", "5", "maxclients", "0"}),
         related + "'maxclients') - argument must be between 1 and 1000000 inclusive\r\n"},
        {resp_array({"CONFIG", "GET", "slowlog-max-len"}),  // all or nothing
         "*2\r\n$15\r\nslowlog-max-len\r\n$3\r\n128\r\n"},
        {resp_array({"CONFIG", "SET", "slowlog-max-len", "5", "maxclients", "77"}), "+OK\r\n"},
        {resp_array({"CONFIG", "GET", "slowlog-max-len", "maxclients"}),
         "*4\r\n$10\r\nmaxclients\r\n$2\r\n77\r\n$15\r\nslowlog-max-len\r\n$1\r\n5\r\n"},
        {resp_array({"CONFIG", "GET", "client.connections_max"}),
         "*2\r\n$22\r\nclient.connections_max\r\n$2\r\n77\r\n"},
        {resp_array({"CONFIG", "SET", "commit_timeout", "3s"}), "+OK\r\n"},
        {resp_array({"CONFIG", "GET", "commit_timeout"}),
         "*2\r\n$14\r\ncommit_timeout\r\n$2\r\n3s\r\n"},
        {resp_array({"CONFIG", "SET", "wal.segment_bytes", "1"}),
         related +
             "'wal.segment_bytes') - can't be changed at run time: set wal.segment_bytes in the "
             "configuration file and restart\r\n"},
        {resp_array({"CONFIG", "SET", "port", "1"}),
         related + "'port') - can't be changed at run time: set client.port in the configuration "
                   "file and restart\r\n"},
        {resp_array({"CONFIG", "SET", "appendonly", "yes"}), "+OK\r\n"},
        {resp_array({"CONFIG", "SET", "appendonly", "no"}),
         related + "'appendonly') - only 'yes' is supported\r\n"},
        {resp_array({"CONFIG", "SET", "maxclients"}),
         "-ERR wrong number of arguments for 'config|set' command\r\n"},
        {resp_array({"CONFIG", "RESETSTAT"}), "+OK\r\n"},
        {resp_array({"CONFIG", "REWRITE"}),
         "-ERR CONFIG REWRITE is not supported: the file belongs to its author\r\n"},
    };
    play(exchanges);
}

TEST(RespSession, SlowlogKeepsTheNewestCommands) {
    SimServer server(13);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "LEN"}), 4), ":0\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "GET", "-2"}), 51),
              "-ERR count should be greater than or equal to -1\r\n");
    EXPECT_EQ(client->exchange(resp_array({"CONFIG", "SET", "slowlog-log-slower-than", "0",
                                           "slowlog-max-len", "3"}),
                               5),
              "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "RESET"}), 5), "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SET", "key", std::string(200, 'v')}), 5), "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"ECHO", std::string(130, 'e')}), 138),
              resp_bulk(std::string(130, 'e')));
    client->send(resp_array({"SLOWLOG", "GET", "2"}) + resp_array({"PING"}));
    ASSERT_TRUE(
        server.world.run_until([&] { return client->received().ends_with("+PONG\r\n"); }, 60s));
    const std::string reply = client->take();
    const std::string echo =
        "*2\r\n$4\r\necho\r\n" + resp_bulk(std::string(128, 'e') + "... (2 more bytes)");
    const std::string set =
        "*3\r\n$3\r\nset\r\n$3\r\nkey\r\n" + resp_bulk("... (1 more arguments)");
    EXPECT_TRUE(reply.starts_with("*2\r\n*6\r\n:")) << reply;
    EXPECT_NE(reply.find(echo), reply.npos) << reply;
    EXPECT_NE(reply.find(set), reply.npos) << reply;
    EXPECT_LT(reply.find(echo), reply.find(set)) << "the newest come first";
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "LEN"}), 4), ":3\r\n");
    EXPECT_EQ(client->exchange(resp_array({"CONFIG", "SET", "slowlog-log-slower-than", "-1"}), 5),
              "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "RESET"}), 5), "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SET", "key", "v"}), 5), "+OK\r\n");
    EXPECT_EQ(client->exchange(resp_array({"SLOWLOG", "LEN"}), 4), ":0\r\n");
}

TEST(Sessions, EveryVerbIsAnsweredInEveryProtocolThatReachesIt) {
    SimServer server(14);
    ASSERT_TRUE(server.start().has_value());
    for (const CommandRow& row : command_rows()) {
        if (row.verb == Verb::invalid || row.verb == Verb::quit || row.verb == Verb::client_reply) {
            continue;
        }
        for (int more = 0; more < (row.arity < 0 ? 3 : 1); ++more) {
            SCOPED_TRACE(row.name);
            const std::size_t bar = row.name.find('|');
            std::vector<std::string_view> words{row.name.substr(0, bar)};
            if (bar != row.name.npos) words.push_back(row.name.substr(bar + 1));
            const std::size_t names = words.size();
            const auto count = static_cast<std::size_t>(std::abs(row.arity) + more);
            while (words.size() < count) words.push_back("1");
            const auto client = server.connect();
            client->send(resp_array(words) + resp_array({"ECHO", "end"}));
            EXPECT_TRUE(server.world.run_until(
                [&] { return client->received().ends_with("$3\r\nend\r\n"); }, 60s));
            const auto binary = server.connect();
            binary->send(
                extended_frame(7, static_cast<int>(row.verb),
                               {words.begin() + static_cast<std::ptrdiff_t>(names), words.end()}) +
                frame(5, ""));
            EXPECT_TRUE(server.world.run_until(
                [&] { return binary->received().ends_with(frame(5, "")); }, 60s));
        }
    }
}

TEST(RespSession, ReadsBehindWritesOfTheSamePipelineSeeThem) {
    SimServer server(9);
    ASSERT_TRUE(server.start().has_value());
    server.expect(resp_array({"SET", "k", "hello"}) + resp_array({"GETRANGE", "k", "1", "2"}) +
                      resp_array({"STRLEN", "k"}) + resp_array({"APPEND", "k", "!"}) +
                      resp_array({"STRLEN", "k"}) + resp_array({"EXISTS", "k"}) +
                      resp_array({"TYPE", "k"}) + resp_array({"GETDEL", "k"}) +
                      resp_array({"EXISTS", "k"}) + resp_array({"INCR", "k"}) +
                      resp_array({"OBJECT", "ENCODING", "k"}) + resp_array({"SCAN", "0"}),
                  "+OK\r\n$2\r\nel\r\n:5\r\n:6\r\n:6\r\n:1\r\n+string\r\n$6\r\nhello!\r\n"
                  ":0\r\n:1\r\n$3\r\nint\r\n*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n");
}

TEST(Scan, KeysThatAreThereAllTheTimeAreReturned) {
    SimServer server(10);
    ASSERT_TRUE(server.start().has_value());
    std::string input;
    std::string expected;
    std::vector<std::string> stay;
    for (int i = 0; i < 3000; ++i) {
        stay.push_back("stay:" + std::to_string(i));
        input += resp_array({"SET", stay.back(), "v"});
        expected += "+OK\r\n";
    }
    server.expect(input, expected);
    std::ranges::sort(stay);
    const auto client = server.connect();
    std::vector<std::string> found;
    std::string cursor = "0";
    int calls = 0;
    do {
        client->send(resp_array({"SCAN", cursor, "COUNT", "100"}) + resp_array({"PING"}));
        ASSERT_TRUE(
            server.world.run_until([&] { return client->received().ends_with("+PONG\r\n"); }, 60s));
        const std::string reply = client->take();
        ASSERT_TRUE(reply.starts_with("*2\r\n$"));
        const std::size_t line = reply.find("\r\n", 4) + 2;
        cursor = reply.substr(line, reply.find("\r\n", line) - line);
        for (const std::string& key : elements(std::string_view(reply).substr(line))) {
            if (key.starts_with("stay:")) found.push_back(key);
        }
        // Meanwhile the index grows, and other keys go.
        std::string more;
        for (int i = 0; i < 200; ++i) {
            const std::string key = "go:" + std::to_string(calls) + ":" + std::to_string(i);
            more += resp_array({"SET", key, "v"});
            if (i % 2 == 0) more += resp_array({"DEL", key});
        }
        more += resp_array({"ECHO", "end"});
        client->send(more);
        ASSERT_TRUE(
            server.world.run_until([&] { return client->received().ends_with("end\r\n"); }, 60s));
        client->take();
        ASSERT_LT(++calls, 1000);
    } while (cursor != "0");
    EXPECT_GT(calls, 5);
    std::ranges::sort(found);
    const auto end = std::ranges::unique(found).begin();
    found.erase(end, found.end());
    EXPECT_EQ(found, stay);
}

TEST(BinarySession, EveryTypeAndEveryError) {
    using namespace std::string_literals;
    const Exchange exchanges[] = {
        {frame(5, ""), frame(5, "")},
        {frame(5, "payload"), frame(5, "")},
        {key_frame(2, "a"), frame(2, "")},
        {set_frame("a", "1"), frame(0, "")},
        {set_frame("e", ""), frame(0, "")},
        {key_frame(2, "a"), value_frame("1")},
        {key_frame(2, "e"), value_frame("")},
        {key_frame(3, "e"), frame(3, "")},
        {key_frame(3, "e"), frame(2, "")},
        {frame(4, ""), frame(4, "\0\0\0\1\0\1a"s)},
        {frame(2, ""), error_frame("binary GET: truncated key_len")},
        {frame(2, "\0\2a"s), error_frame("binary GET: truncated key")},
        {frame(3, "\0\0"s), error_frame("binary DEL: empty key")},
        {frame(1, "\0\1a\0\0"s), error_frame("binary SET: truncated value_len")},
        {frame(1, "\0\1a\0\0\0\2v"s), error_frame("binary SET: truncated value")},
        {frame(1, "\0\0\0\0\0\1v"s), error_frame("binary SET: empty key")},
        {frame(0, ""), error_frame("binary: unknown msg_type 0x00")},
        {frame(0x1e, "x"), error_frame("binary: unknown msg_type 0x1e")},
        {frame(2, "\0\1abehind"s), value_frame("1")},
        {set_frame("a", std::string(8193, 'v')),
         error_frame("value is longer than limits.value_bytes_max")},
        {extended_frame(7, 1, {}), extended_reply(7, 0, "")},
        {extended_frame(8, 1, {"hi"}), extended_reply(8, 1, "hi")},
        {extended_frame(9, 8, {"x", "1", "y", "2"}), extended_reply(9, 0, "")},
        {extended_frame(10, 7, {"x", "none", "y"}),
         extended_reply(10, 4, "\0\0\0\3\0\0\0\1\x31\xff\xff\xff\xff\0\0\0\1\x32"s)},
        {extended_frame(11, 5, {"x", "y", "z"}), extended_reply(11, 3, big_endian(2, 8))},
        {extended_frame(12, 10, {}), extended_reply(12, 3, big_endian(1, 8))},
        {extended_frame(13, 9, {}), extended_reply(13, 4, "\0\0\0\1\0\0\0\1a"s)},
        {extended_frame(15, static_cast<int>(Verb::incrby), {"n", "-3"}),
         extended_reply(15, 3, big_endian(static_cast<std::uint64_t>(-3), 8))},
        {extended_frame(16, static_cast<int>(Verb::getset), {"n", "v"}),
         extended_reply(16, 1, "-3")},
        {extended_frame(17, static_cast<int>(Verb::set), {"n", "w", "NX"}),
         extended_reply(17, 2, "")},
        {extended_frame(18, static_cast<int>(Verb::type), {"n"}), extended_reply(18, 1, "string")},
        {extended_frame(19, static_cast<int>(Verb::scan), {"0", "MATCH", "n"}),
         extended_reply(19, 4, "\0\0\0\2\0\0\0\1\x30\0\0\0\1n"s)},
        {extended_frame(20, static_cast<int>(Verb::getdel), {"n"}), extended_reply(20, 1, "v")},
        {extended_frame(14, 11, {}), extended_reply(14, 0, "")},
        {frame(4, ""), frame(4, "\0\0\0\0"s)},
    };
    play(exchanges);
}

TEST(Sessions, TheFirstBytesDecideTheProtocolOfEachConnection) {
    SimServer server(2);
    ASSERT_TRUE(server.start().has_value());
    server.expect("SET a 1\n", "OK\n");
    server.expect("SET b 2\r\n", "+OK\r\n");
    server.expect("+PING\r\n", "-ERR unknown command '+PING', with args beginning with: \r\n");
    server.expect(key_frame(2, "a"), value_frame("1"));
    server.expect(resp_array({"GET", "b"}), "$1\r\n2\r\n");
    server.expect("\nPING\n", "ERROR empty command\nPONG\n");
    server.expect("\r\nPING\r\n", "+PONG\r\n");
    server.expect("\xff\xfe\n", "ERROR unknown command: \xff\xfe\n");
}

TEST(Sessions, TheLineProtocolCanBeFixed) {
    for (const bool text : {true, false}) {
        Config config = small_config();
        config.client.line_protocol = text ? LineProtocol::text : LineProtocol::resp;
        SimServer server(3, config);
        ASSERT_TRUE(server.start().has_value());
        server.expect("PING\n", text ? "PONG\n" : "+PONG\r\n");
        server.expect("PING\r\n", text ? "PONG\n" : "+PONG\r\n");
        server.expect(resp_array({"PING"}), "+PONG\r\n");
    }
}

TEST(Sessions, QuitAnswersWhatCameBeforeItAndNothingBehind) {
    SimServer server(4);
    ASSERT_TRUE(server.start().has_value());
    const std::string request = resp_array({"SET", "a", "1"}) + resp_array({"GET", "a"}) +
                                resp_array({"QUIT"}) + resp_array({"SET", "a", "2"});
    {
        const auto client = server.connect();
        client->send(request);
        EXPECT_TRUE(client->wait_end());
        EXPECT_EQ(client->take(), "+OK\r\n$1\r\n1\r\n+OK\r\n");
        EXPECT_EQ(client->end_error(), 0);
    }
    server.expect(resp_array({"GET", "a"}), "$1\r\n1\r\n");
    server.world.run_for(1s);
    EXPECT_EQ(server.server().connections(), 0u);
}

TEST(Sessions, AHalfClosedClientGetsAllItsReplies) {
    for (std::uint64_t seed = 1; seed <= scaled(40); ++seed) {
        SCOPED_TRACE(seed);
        Config config = small_config();
        config.client.pipeline_max = seed % 2 == 0 ? 3 : 1024;
        SimServer server(seed, config);
        ASSERT_TRUE(server.start().has_value());
        const Family families[] = {Family::text, Family::binary, Family::resp};
        const Script script = random_script(families[seed % 3], seed, 400);
        const auto client = server.connect();
        client->send(script.input);
        ASSERT_TRUE(server.world.run_until([&] { return client->all_sent(); }, 60s));
        server.world.network().end_sending(SimServer::client_node, SimServer::server_node);
        ASSERT_TRUE(client->wait_end());
        EXPECT_EQ(client->take(), script.expected);
        EXPECT_EQ(client->end_error(), 0);
        server.world.run_for(1s);
        EXPECT_EQ(server.server().connections(), 0u);
    }
}

TEST(Sessions, AnIncompleteRequestAtTheEndIsDropped) {
    SimServer server(5);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    client->send("PING\nSET a 1");
    ASSERT_TRUE(client->wait_for(5));
    server.world.network().end_sending(SimServer::client_node, SimServer::server_node);
    ASSERT_TRUE(client->wait_end());
    EXPECT_EQ(client->take(), "PONG\n");
    EXPECT_EQ(server.node().keys(), 0u);
}

TEST(Keys, PatternsChooseAmongTheKeysOfAllShards) {
    SimServer server(6);
    ASSERT_TRUE(server.start().has_value());
    const auto client = server.connect();
    std::vector<std::string> all;
    std::string request;
    for (int i = 0; i < 500; ++i) {
        all.push_back("key:" + std::to_string(i));
        request += resp_array({"SET", all.back(), "v"});
    }
    std::ranges::sort(all);
    client->send(request);
    ASSERT_TRUE(client->wait_for(5 * all.size()));
    client->take();
    struct Case {
        const char* pattern;
        std::size_t count;
    };
    const Case cases[] = {{"*", 500}, {"key:1?", 10}, {"key:[12]", 2}, {"key:4*", 111},
                          {"*99", 5}, {"KEY:*", 0},   {"", 0},         {"key:7", 1}};
    for (const Case& c : cases) {
        client->send(resp_array({"KEYS", c.pattern}) + resp_array({"PING"}));
        ASSERT_TRUE(
            server.world.run_until([&] { return client->received().ends_with("+PONG\r\n"); }, 60s));
        const std::string reply = client->take();
        EXPECT_TRUE(reply.starts_with(fmt::format("*{}\r\n", c.count))) << c.pattern;
        const std::vector<std::string> found = elements(reply);
        EXPECT_EQ(found.size(), c.count) << c.pattern;
        if (c.count == all.size()) {
            EXPECT_EQ(found, all);
        }
    }
}

TEST(Mget, MoreThanTheLimitIsAnErrorAndTheConnectionGoesOn) {
    Config config = small_config();
    config.limits.reply_bytes_max = 1000;
    SimServer server(7, config);
    ASSERT_TRUE(server.start().has_value());
    server.expect(resp_array({"SET", "k", std::string(500, 'v')}), "+OK\r\n");
    const std::string twice =
        "*2\r\n" + resp_bulk(std::string(500, 'v')) + resp_bulk(std::string(500, 'v'));
    server.expect(resp_array({"MGET", "k", "k"}), twice);
    server.expect(resp_array({"MGET", "k", "k", "k"}),
                  "-ERR MGET would answer more than limits.reply_bytes_max = 1000 bytes\r\n");
    server.expect(resp_array({"PING"}), "+PONG\r\n");
}

TEST(Keys, APatternThatTakesTooLongIsAnErrorAndOthersAreServed) {
    Config config = small_config();
    SimServer server(7, config);
    ASSERT_TRUE(server.start().has_value());
    std::string input;
    std::string expected;
    for (int i = 0; i < 64; ++i) {
        const std::string key = std::to_string(i) + std::string(1500, 'a');
        input += resp_array({"SET", key, "v"});
        expected += "+OK\r\n";
    }
    server.expect(input, expected);
    const std::string pattern = "*" + std::string(1000, 'a') + "b";
    server.expect(resp_array({"KEYS", pattern}),
                  "-ERR KEYS: this pattern takes too long to match these keys\r\n");
    server.expect(resp_array({"KEYS", "63a*"}),
                  "*1\r\n" + resp_bulk("63" + std::string(1500, 'a')));
}

TEST(Keys, MoreThanTheLimitIsAnErrorAndNotAPart) {
    Config config = small_config();
    config.limits.keys_reply_max = 3;
    SimServer server(7, config);
    ASSERT_TRUE(server.start().has_value());
    server.expect("SET a1 1\nSET a2 1\nSET b1 1\nKEYS\n", "OK\nOK\nOK\nKEYS a1 a2 b1\n");
    server.expect("SET b2 1\nKEYS\n",
                  "OK\nERROR KEYS matches more than limits.keys_reply_max = 3 keys\n");
    server.expect(resp_array({"KEYS", "*"}),
                  "-ERR KEYS matches more than limits.keys_reply_max = 3 keys\r\n");
    server.expect(frame(4, ""),
                  error_frame("KEYS matches more than limits.keys_reply_max = 3 keys"));
    server.expect(resp_array({"KEYS", "c*"}), "*0\r\n");
}

TEST(Keys, WhatALineCannotCarryIsAnErrorThatSaysSo) {
    SimServer server(8);
    ASSERT_TRUE(server.start().has_value());
    server.expect(resp_array({"SET", "with space", "line\nend"}) + resp_array({"SET", "empty", ""}),
                  "+OK\r\n+OK\r\n");
    const auto client = server.connect();
    client->send("KEYS\nGET empty\nPING\n");
    ASSERT_TRUE(
        server.world.run_until([&] { return client->received().ends_with("PONG\n"); }, 60s));
    EXPECT_EQ(client->take(),
              "ERROR a key holds a space or a line end, which the text protocol cannot carry: use "
              "the binary protocol or RESP\n"
              "ERROR the value is empty, which the text protocol cannot carry: use the binary "
              "protocol or RESP\nPONG\n");
}

}  // namespace
}  // namespace kv
