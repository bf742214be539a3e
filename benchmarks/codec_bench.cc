/// Parsing pipelines of GET and SET in each protocol, and writing their replies. `items` are
/// requests or replies.

#include <benchmark/benchmark.h>

#include <string>
#include <string_view>

#include "proto/base/assert.h"
#include "proto/binary/binary_client.h"
#include "proto/binary/binary_codec.h"
#include "proto/reply.h"
#include "proto/resp/resp_client.h"
#include "proto/resp/resp_codec.h"
#include "proto/text/text_codec.h"

namespace kv {
namespace {

constexpr int pipeline_requests = 1000;

/// Keys of 16 bytes, values of range(0) bytes; one request after the other.
template <typename Append>
std::string pipeline(Append append) {
    std::string wire;
    for (int i = 0; i < pipeline_requests; ++i) {
        std::string key = std::to_string(i);
        key.insert(0, 16 - key.size(), '0');
        append(wire, key);
    }
    return wire;
}

template <typename Parser>
void parse(benchmark::State& state, const std::string& wire) {
    Parser parser(RequestLimits{});
    Request request;
    for (auto _ : state) {
        std::string_view rest = wire;
        int requests = 0;
        while (!rest.empty()) {
            const ParseResult result = parser.next(rest, request);
            KV_ASSERT(result.status == ParseStatus::request && request.verb != Verb::invalid);
            benchmark::DoNotOptimize(request.args.data());
            rest.remove_prefix(result.consumed);
            ++requests;
        }
        KV_ASSERT(requests == pipeline_requests);
    }
    state.SetItemsProcessed(state.iterations() * pipeline_requests);
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(wire.size()));
}

void parse_resp_get(benchmark::State& state) {
    parse<resp::RespParser>(state, pipeline([](std::string& out, std::string_view key) {
                                const std::string_view words[] = {"GET", key};
                                resp::encode_command(out, words);
                            }));
}
BENCHMARK(parse_resp_get);

void parse_resp_set(benchmark::State& state) {
    const std::string value(static_cast<std::size_t>(state.range(0)), 'v');
    parse<resp::RespParser>(state, pipeline([&](std::string& out, std::string_view key) {
                                const std::string_view words[] = {"SET", key, value};
                                resp::encode_command(out, words);
                            }));
}
BENCHMARK(parse_resp_set)->Arg(16)->Arg(1024);

void parse_text_get(benchmark::State& state) {
    parse<text::TextParser>(state, pipeline([](std::string& out, std::string_view key) {
                                out.append("GET ").append(key).append("\n");
                            }));
}
BENCHMARK(parse_text_get);

void parse_text_set(benchmark::State& state) {
    const std::string value(static_cast<std::size_t>(state.range(0)), 'v');
    parse<text::TextParser>(state, pipeline([&](std::string& out, std::string_view key) {
                                out.append("SET ").append(key).append(" ").append(value);
                                out.append("\n");
                            }));
}
BENCHMARK(parse_text_set)->Arg(16)->Arg(1024);

void parse_binary_get(benchmark::State& state) {
    parse<binary::BinaryParser>(
        state, pipeline([](std::string& out, std::string_view key) {
            KV_ASSERT(binary::encode_request(out, Verb::get, {&key, 1}).has_value());
        }));
}
BENCHMARK(parse_binary_get);

void parse_binary_set(benchmark::State& state) {
    const std::string value(static_cast<std::size_t>(state.range(0)), 'v');
    parse<binary::BinaryParser>(
        state, pipeline([&](std::string& out, std::string_view key) {
            const std::string_view args[] = {key, value};
            KV_ASSERT(binary::encode_request(out, Verb::set, args).has_value());
        }));
}
BENCHMARK(parse_binary_set)->Arg(16)->Arg(1024);

void parse_extended_set(benchmark::State& state) {
    const std::string value(static_cast<std::size_t>(state.range(0)), 'v');
    parse<binary::BinaryParser>(
        state, pipeline([&](std::string& out, std::string_view key) {
            const std::string_view args[] = {key, value};
            KV_ASSERT(binary::encode_extended(out, Verb::set, args, {1, 2, 3}).has_value());
        }));
}
BENCHMARK(parse_extended_set)->Arg(16)->Arg(1024);

/// range(0): Protocol; one OK, one value of 16 bytes and one miss per round.
void write_replies(benchmark::State& state) {
    const auto protocol = static_cast<Protocol>(state.range(0));
    const std::string value(16, 'v');
    std::string out;
    for (auto _ : state) {
        out.clear();
        for (int i = 0; i < pipeline_requests; ++i) {
            ReplyWriter writer(protocol, static_cast<std::uint64_t>(i), out);
            writer.ok();
            writer.value(value);
            writer.absent();
        }
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * pipeline_requests * 3);
}
BENCHMARK(write_replies)->DenseRange(0, 3);

void decode_resp_replies(benchmark::State& state) {
    std::string wire;
    for (int i = 0; i < pipeline_requests; ++i) resp::append_bulk(wire, "0123456789abcdef");
    resp::ReplyDecoder decoder;
    for (auto _ : state) {
        std::string_view rest = wire;
        while (!rest.empty()) rest.remove_prefix(decoder.next(rest).consumed);
        benchmark::DoNotOptimize(decoder.nodes().data());
    }
    state.SetItemsProcessed(state.iterations() * pipeline_requests);
}
BENCHMARK(decode_resp_replies);

}  // namespace
}  // namespace kv
