// libFuzzer: the log on disk. The first byte chooses: a segment header or a batch as it is; the
// rest as the records of a batch with right checksums; identity and members of a data directory.

#include <cstring>
#include <string>

#include "engine/node/identity.h"
#include "engine/wal/record.h"
#include "engine/wal/segment.h"
#include "proto/raft/configuration.h"
#include "proto/raft/entry.h"

namespace {

using namespace kv;

constexpr StoreId store{1, 2};

void take_records(Bytes payload) {
    std::size_t left = payload.size();
    wal::Record record;
    while (!payload.empty() && wal::take_record(payload, record)) {
        KV_ASSERT(payload.size() < left);
        left = payload.size();
        KV_ASSERT(record.payload.size() <= left + record.payload.size());
        static_cast<void>(decode_hard_state(record.payload));
        for (Bytes rest = record.payload; !rest.empty();) {
            const auto entry = decode_entry(rest, record.group);
            if (!entry) break;
            KV_ASSERT(entry->bytes.size() >= entry_header_bytes);
            rest = rest.subspan(entry->bytes.size());
            if (entry->kind == EntryKind::configuration) {
                static_cast<void>(decode_configuration(entry->payload));
            }
        }
    }
}

void take_batch(Bytes bytes) {
    const auto header = wal::decode_batch_header(bytes, store, io::block_bytes);
    if (!header) return;
    const auto payload = wal::decode_batch_payload(bytes, *header, io::block_bytes);
    if (payload) take_records(*payload);
}

void seal_and_take(Bytes payload) {
    wal::BatchHeader header;
    header.store = store;
    header.segment = SegmentSeq(1);
    header.payload_bytes = static_cast<std::uint32_t>(payload.size());
    header.records = 1;
    std::string batch(header.total_bytes(), '\0');
    if (!payload.empty()) {
        std::memcpy(batch.data() + wal::batch_header_bytes, payload.data(), payload.size());
    }
    wal::seal_batch({reinterpret_cast<std::byte*>(batch.data()), batch.size()}, header,
                    io::block_bytes);
    const auto again = wal::decode_batch_header(as_bytes(batch), store, io::block_bytes);
    KV_ASSERT(again && again->payload_bytes == payload.size());
    KV_ASSERT(wal::decode_batch_payload(as_bytes(batch), *again, io::block_bytes).has_value());
    take_batch(as_bytes(batch));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes(reinterpret_cast<const std::byte*>(data), size);
    if (bytes.empty()) return 0;
    const Bytes rest = bytes.subspan(1);
    switch (data[0] % 3) {
        case 0: take_batch(rest); break;
        case 1: seal_and_take(rest); break;
        case 2:
            static_cast<void>(decode_identity(as_text(rest), "identity"));
            static_cast<void>(decode_members(as_text(rest), "members"));
            break;
    }
    take_records(rest);
    return 0;
}
