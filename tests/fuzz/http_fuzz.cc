// libFuzzer: whatever bytes come to the admin port, they are a request, a refusal with a sentence,
// or too few; what was taken lies within them, and more bytes behind it change nothing.

#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/http/http_request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(reinterpret_cast<const char*>(data), size);
    kv::http::Request request;
    const auto parsed = kv::http::parse_request(input, request);
    switch (parsed.status) {
        case kv::http::Parsed::Status::need_more: KV_ASSERT(size < kv::http::head_bytes_max); break;
        case kv::http::Parsed::Status::refused:
            KV_ASSERT(parsed.code >= 400);
            KV_ASSERT(!parsed.why.empty());
            break;
        case kv::http::Parsed::Status::request: {
            KV_ASSERT(parsed.consumed <= size);
            KV_ASSERT(parsed.consumed <= kv::http::head_bytes_max);
            KV_ASSERT(request.path.front() == '/');
            kv::http::Request again;
            const auto longer = kv::http::parse_request(input + "GET", again);
            KV_ASSERT(longer.consumed == parsed.consumed);
            KV_ASSERT(again.path == request.path);
            break;
        }
    }
    return 0;
}
