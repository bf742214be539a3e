// libFuzzer: whatever bytes a peer sends as a message, decoding ends with a message or an error,
// and what was accepted is written again as the same bytes.

#include <string>

#include "proto/raft/message_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const kv::Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    kv::Message message;
    if (!kv::decode_message(bytes, {kv::NodeId(1), kv::NodeId(2)}, message)) return 0;
    std::string again;
    kv::encode_message(message, again);
    KV_ASSERT(again == kv::as_text(bytes));
    return 0;
}
