#include "bin/client/shard_map.h"

#include <array>

namespace kv::client {

Result<ShardMap> fetch_shard_map(io::Reactor& reactor, ClientOptions options) {
    options.mode = Mode::resp;
    KV_TRY(const std::unique_ptr<Client> client, Client::connect(reactor, options));
    constexpr std::array<std::string_view, 2> words{"CLUSTER", "MAP"};
    KV_TRY(const Reply reply, client->call(words));
    if (reply.kind != ReplyKind::value) return fail(Errc::unsupported, reply.text);
    KV_TRY(ShardMap map, decode_shard_map(as_bytes(reply.text)));
    if (map.nodes.size() == 1) {
        map.nodes.front().host = options.host;
        map.nodes.front().client_port = options.port;
    }
    return map;
}

}  // namespace kv::client
