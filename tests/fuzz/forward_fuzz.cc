// libFuzzer: what nodes say to each other of clients' requests. Decoding ends with a request, a
// reply or an error; what was accepted is written again as the same bytes, and decoded again as
// the same.

#include <string>

#include "engine/node/forward_codec.h"
#include "proto/command_codec.h"

namespace {

using namespace kv;

void take_request(Bytes bytes) {
    const auto request = decode_forward_request(bytes);
    if (!request) return;
    std::string again;
    encode_forward_request(*request, again);
    const auto same = decode_forward_request(as_bytes(again));
    KV_ASSERT(same && same->kind == request->kind && same->cursor == request->cursor);
    KV_ASSERT(same->content == request->content);
    Command command;
    const auto taken = decode_command(as_bytes(request->content), command);
    KV_ASSERT(!taken || *taken <= request->content.size());
}

void take_reply(Bytes bytes) {
    const auto reply = decode_forward_reply(bytes);
    if (!reply) return;
    std::string again;
    encode_forward_reply(*reply, again);
    const auto same = decode_forward_reply(as_bytes(again));
    KV_ASSERT(same && same->kind == reply->kind && same->error == reply->error);
    KV_ASSERT(same->number == reply->number && same->content == reply->content);
    std::string_view list = reply->content;
    std::size_t left = list.size();
    while (take_listed(list)) {
        KV_ASSERT(list.size() < left);
        left = list.size();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    take_request(bytes);
    take_reply(bytes);
    return 0;
}
