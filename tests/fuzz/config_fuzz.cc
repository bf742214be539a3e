// libFuzzer: a configuration file. Whatever it holds, reading it ends with a configuration or with
// a sentence.

#include "engine/node/config.h"
#include "proto/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view toml(reinterpret_cast<const char*>(data), size);
    const auto config = kv::parse_config(toml, "f.toml");
    KV_ASSERT(config || !config.error().text().empty());
    return 0;
}
