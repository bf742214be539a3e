#include "bin/kv-bench/result.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>

#include "bin/kv-bench/report.h"

namespace kv::bench {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view format_name = "kv-bench 1";

/// Three decimals: nanoseconds for latencies.
double rounded(double number) noexcept {
    return std::round(number * 1e3) / 1e3;
}

std::string dump(const Json& json) {
    // An error's text may be cut within a character.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json mix_json(const Mix& mix) {
    Json out = Json::object();
    for (std::size_t i = 0; i < operations_count; ++i) {
        const auto operation = static_cast<Operation>(i);
        if (mix.has(operation)) out[std::string(name(operation))] = mix.share(operation);
    }
    return out;
}

Json classes_json(const ErrorKinds& errors) {
    Json out = Json::object();
    for (std::size_t i = 0; i < error_classes_count; ++i) {
        const auto error = static_cast<ErrorClass>(i);
        if (const std::uint64_t count = errors.of_class(error); count > 0) {
            out[std::string(name(error))] = count;
        }
    }
    return out;
}

/// What a cluster's load has besides.
void add_cluster(Json& json, const Measured& measured) {
    json["cluster"] = true;
    json["retried"] = measured.retried.total();
    json["retried_by_class"] = classes_json(measured.retried);
    Json gaps = Json::array();
    for (const Duration gap : measured.longest_gaps) {
        gaps.push_back(rounded(std::chrono::duration<double, std::milli>(gap).count()));
    }
    json["longest_gaps_ms"] = std::move(gaps);
    json["map_refreshes"] = measured.map_refreshes;
}

Json summary(const Options& options, const Measured& measured) {
    const Summary s(measured);
    const WorkloadOptions& w = options.workload;
    Json errors = Json::object();
    Json first = Json::object();
    for (const ErrorKinds::Kind& kind : measured.counts.errors.kinds()) {
        errors[kind.name] = kind.count;
        first[kind.name] = kind.first;
    }
    Json json = {
        {"format", format_name},
        {"load", describe_load(options)},
        {"host", options.host},
        {"port", options.port},
        {"protocol", name(w.wire)},
        {"connections", options.connections},
        {"pipeline", options.pipeline},
        {"threads", options.threads},
        {"rate", options.rate},
        {"keys", w.keys},
        {"keys_dist", name(w.distribution)},
        {"key_bytes", w.key_bytes},
        {"value_bytes", {w.value_bytes.least, w.value_bytes.most}},
        {"mix", mix_json(w.mix)},
        {"reads", w.mix.share(Operation::get)},
        {"seed", w.seed},
        {"duration_s", std::chrono::duration<double>(options.duration).count()},
        {"warmup_s", std::chrono::duration<double>(options.warmup).count()},
        {"requests", s.requests},
        {"seconds", std::round(s.seconds * 1e6) / 1e6},
        {"requests_per_second", std::round(s.requests_per_second * 10) / 10},
        {"latency_us",
         {{"mean", rounded(s.mean_us)},
          {"p50", rounded(s.p50_us)},
          {"p90", rounded(s.p90_us)},
          {"p99", rounded(s.p99_us)},
          {"p99.9", rounded(s.p999_us)},
          {"max", rounded(s.max_us)}}},
        {"generator_cpu_percent", std::round(s.cpu_percent * 10) / 10},
        {"not_found", measured.counts.not_found},
        {"errors", measured.counts.errors.total()},
        {"errors_by_kind", errors},
        {"first_errors", first},
        {"errors_by_class", classes_json(measured.counts.errors)},
        {"not_sent", measured.not_sent},
        {"unanswered", measured.unanswered},
    };
    if (options.cluster) add_cluster(json, measured);
    return json;
}

Point parse_point(const Json& json) {
    Point point;
    point.at_s = json.at("at_s").get<double>();
    point.seconds = json.at("seconds").get<double>();
    point.requests = json.at("requests").get<std::uint64_t>();
    point.errors = json.at("errors").get<std::uint64_t>();
    point.p50_us = json.at("p50_us").get<double>();
    point.p99_us = json.at("p99_us").get<double>();
    point.p999_us = json.at("p99.9_us").get<double>();
    point.max_us = json.at("max_us").get<double>();
    return point;
}

StoredResult parse_fields(const Json& json) {
    StoredResult result;
    const Json& latency = json.at("latency_us");
    result.load = json.at("load").get<std::string>();
    result.requests_per_second = json.at("requests_per_second").get<double>();
    result.mean_us = latency.at("mean").get<double>();
    result.p50_us = latency.at("p50").get<double>();
    result.p90_us = latency.at("p90").get<double>();
    result.p99_us = latency.at("p99").get<double>();
    result.p999_us = latency.at("p99.9").get<double>();
    result.max_us = latency.at("max").get<double>();
    result.errors = json.at("errors").get<double>();
    result.cpu_percent = json.at("generator_cpu_percent").get<double>();
    if (json.contains("series")) {
        for (const Json& each : json["series"]) result.series.push_back(parse_point(each));
    }
    if (json.contains("histogram")) {
        for (const Json& each : json["histogram"]) {
            result.histogram.emplace_back(each.at(0).get<double>(), each.at(1).get<double>());
        }
    }
    return result;
}

}  // namespace

std::string summary_json(const Options& options, const Measured& measured) {
    return dump(summary(options, measured)) + "\n";
}

std::string result_json(const Options& options, const RunResult& result) {
    Json json = summary(options, result.measured);
    Json series = Json::array();
    for (const Point& point : result.series) {
        series.push_back({{"at_s", rounded(point.at_s)},
                          {"seconds", rounded(point.seconds)},
                          {"requests", point.requests},
                          {"errors", point.errors},
                          {"p50_us", point.p50_us},
                          {"p99_us", point.p99_us},
                          {"p99.9_us", point.p999_us},
                          {"max_us", point.max_us}});
    }
    json["series"] = std::move(series);
    Json histogram = Json::array();
    result.measured.latency.each([&](std::uint64_t nanoseconds, std::uint64_t count) {
        histogram.push_back({static_cast<double>(nanoseconds) / 1e3, count});
    });
    json["histogram"] = std::move(histogram);
    return dump(json) + "\n";
}

Result<StoredResult> parse_result(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded()) return fail(Errc::syntax, "this is not JSON");
    if (!json.is_object() || json.value("format", Json()) != format_name) {
        return fail(
            Errc::syntax,
            fmt::format("this is no result of kv-bench: \"format\" is not \"{}\"", format_name));
    }
    try {
        return parse_fields(json);
    } catch (const Json::exception& error) {
        return fail(Errc::syntax, fmt::format("this result is damaged: {}", error.what()));
    }
}

Result<StoredResult> read_result(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file || file.bad()) {
        return fail(Errc::io, fmt::format("cannot read {}: {}", path,
                                          std::generic_category().message(errno)));
    }
    auto result = parse_result(text.str());
    if (!result) return fail(Errc::syntax, path + ": " + result.error().text());
    return result;
}

namespace {

Status cannot_write(const std::string& path) {
    return fail(Errc::io,
                fmt::format("cannot write {}: {}", path, std::generic_category().message(errno)));
}

}  // namespace

Status check_writable(const std::string& path) {
    std::error_code ignored;
    const std::filesystem::file_type type = std::filesystem::status(path, ignored).type();
    const bool is_new = type == std::filesystem::file_type::not_found;
    const bool is_other = type != std::filesystem::file_type::regular &&
                          type != std::filesystem::file_type::directory;
    if (!is_new && is_other) return {};
    if (!std::ofstream(path, std::ios::binary | std::ios::app)) return cannot_write(path);
    if (is_new) std::filesystem::remove(path, ignored);
    return {};
}

Status write_file(const std::string& path, std::string_view content) {
    std::ofstream file(path, std::ios::binary);
    file << content << std::flush;
    return file ? Status{} : cannot_write(path);
}

}  // namespace kv::bench
