/// hiredis, the C client that many others are made of: blocking calls, formatted commands, binary
/// arguments, pipelines, and the reader's idea of every kind of reply. Takes the port of an empty
/// server, and "cluster" if it is one of three; says what is wrong, and exits with 1 if anything
/// is.

#include <hiredis/hiredis.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

int checks = 0;
int failures = 0;

using Reply = std::unique_ptr<redisReply, decltype(&freeReplyObject)>;

/// "+OK", ":1", "nil", "-ERR ...", "text", "[a b]".
std::string shown(const redisReply* reply) {
    if (reply == nullptr) return "no reply";
    const std::string text = reply->str != nullptr ? std::string(reply->str, reply->len) : "";
    switch (reply->type) {
        case REDIS_REPLY_STATUS: return std::string("+").append(text);
        case REDIS_REPLY_ERROR: return std::string("-").append(text);
        case REDIS_REPLY_INTEGER: return std::string(":").append(std::to_string(reply->integer));
        case REDIS_REPLY_NIL: return "nil";
        case REDIS_REPLY_STRING: return text;
        default: break;
    }
    std::string out = "[";
    for (std::size_t i = 0; i < reply->elements; ++i) {
        out.append(i > 0 ? " " : "").append(shown(reply->element[i]));
    }
    return out + "]";
}

void check(const char* what, const redisReply* reply, const std::string& expected) {
    ++checks;
    if (const std::string got = shown(reply); got != expected) {
        ++failures;
        std::printf("%s: expected %s, got %s\n", what, expected.c_str(), got.c_str());
    }
}

template <typename... Args>
void ask(redisContext* client, const std::string& expected, const char* format, Args... args) {
    const Reply reply(static_cast<redisReply*>(redisCommand(client, format, args...)),
                      &freeReplyObject);
    check(format, reply.get(), expected);
}

void pipeline(redisContext* client) {
    constexpr int commands = 5000;
    for (int i = 0; i < commands; ++i) redisAppendCommand(client, "SET key:%d %d", i, i);
    for (int i = 0; i < commands; ++i) redisAppendCommand(client, "GET key:%d", i);
    for (int i = 0; i < 2 * commands; ++i) {
        void* got = nullptr;
        if (redisGetReply(client, &got) != REDIS_OK) got = nullptr;
        const Reply reply(static_cast<redisReply*>(got), &freeReplyObject);
        check("pipeline", reply.get(), i < commands ? "+OK" : std::to_string(i - commands));
        if (!reply) return;
    }
}

void binary(redisContext* client) {
    std::string every;
    for (int byte = 0; byte < 256; ++byte) every.push_back(static_cast<char>(byte));
    ask(client, "+OK", "SET %b %b", every.data(), every.size(), every.data(), every.size());
    ask(client, every, "GET %b", every.data(), every.size());
    ask(client, ":256", "STRLEN %b", every.data(), every.size());
    ask(client, ":1", "DEL %b", every.data(), every.size());
    const std::string large(1'000'000, 'x');
    ask(client, "+OK", "SET large %b", large.data(), large.size());
    ask(client, large, "GET large");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 && argc != 3) return 2;
    const bool cluster = argc == 3;
    const std::unique_ptr<redisContext, decltype(&redisFree)> context(
        redisConnectWithTimeout("127.0.0.1", std::atoi(argv[1]), timeval{30, 0}), &redisFree);
    redisContext* const client = context.get();
    if (client == nullptr || client->err != 0) {
        std::printf("cannot connect: %s\n", client != nullptr ? client->errstr : "no memory");
        return 1;
    }
    redisSetTimeout(client, timeval{30, 0});
    ask(client, "+OK", "FLUSHALL");
    ask(client, "+PONG", "PING");
    ask(client, "hi", "PING hi");
    ask(client, "+OK", "SET k %s", "two words");
    ask(client, "two words", "GET k");
    ask(client, "nil", "GET absent");
    ask(client, "nil", "SET k v NX");
    ask(client, "two words", "SET k v XX GET");
    ask(client, ":0", "SETNX k w");
    ask(client, ":3", "APPEND k xy");
    ask(client, "+string", "TYPE k");
    ask(client, "vxy", "GETSET k new");
    ask(client, "new", "GETDEL k");
    ask(client, ":1", "INCR n");
    ask(client, ":42", "INCRBY n 41");
    ask(client, ":41", "DECR n");
    ask(client, ":-1", "DECRBY n 42");
    ask(client, "+OK", "MSET a 1 b 2");
    ask(client, "[1 nil 2]", "MGET a absent b");
    ask(client, ":2", "EXISTS a b absent");
    ask(client, ":3", "DBSIZE");
    ask(client, "[n]", "KEYS n*");
    ask(client, cluster ? ":1" : ":0", "WAIT 0 0");
    ask(client, "+OK", "CLIENT SETNAME tester");
    ask(client, "tester", "CLIENT GETNAME");
    ask(client, "+RESET", "RESET");
    ask(client, "nil", "CLIENT GETNAME");
    ask(client, "-ERR wrong number of arguments for 'get' command", "GET");
    ask(client, "-ERR syntax error", "SET k v XX NX");
    if (!cluster) ask(client, "[0 [a]]", "SCAN 0 MATCH a COUNT 100");  // else in many pages
    binary(client);
    pipeline(client);
    ask(client, "+OK", "QUIT");
    std::printf("%d checks, %d failed\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
