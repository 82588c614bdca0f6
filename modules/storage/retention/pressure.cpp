// SPDX-License-Identifier: Apache-2.0
//
// Which stage of disk pressure follows from which, and the thresholds as a person writes them.
module;
#include <array>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
module annals.retention;

namespace annals {

namespace {

struct threshold {
  pressure_stage stage;
  const std::optional<space_amount>& amount;
};

std::array<threshold, 4> from_worst(const pressure_thresholds& all) noexcept {
  return {{{pressure_stage::refuse, all.refuse},
           {pressure_stage::prune, all.prune},
           {pressure_stage::archive, all.archive},
           {pressure_stage::warn, all.warn}}};
}

// Can the two be compared without a file system at hand?
bool are_in_order(const std::optional<space_amount>& more, const std::optional<space_amount>& less) {
  if (!more || !less || (more->percent_hundredths == 0) != (less->percent_hundredths == 0)) return true;
  return more->percent_hundredths >= less->percent_hundredths && (more->percent_hundredths != 0 || more->bytes >= less->bytes);
}

}  // namespace

pressure_stage next_stage(pressure_stage present, const pressure_thresholds& thresholds, const disk_space& space) noexcept {
  if (space.is_unknown()) return pressure_stage::none;
  for (const threshold& one : from_worst(thresholds)) {
    if (!one.amount) continue;
    const std::uint64_t amount = one.amount->of(space.total_bytes);
    const std::uint64_t limit = one.stage <= present ? amount + amount / 10 : amount;
    if (space.free_bytes < limit) return one.stage;
  }
  return pressure_stage::none;
}

pressure_thresholds read_pressure(option_reader& reader) {
  pressure_thresholds read;
  const auto text = reader.json("pressure", option_kind::object);
  if (!text) return read;
  const std::string expected =
      "an object with some of \"warn\", \"archive\", \"prune\" and \"refuse\", each a size like \"5GiB\" or a share of the "
      "file "
      "system like \"10%\", none more than the one before";
  boost::system::error_code failed;
  const boost::json::value root = boost::json::parse({text->data(), text->size()}, failed);
  bool is_good = !failed && root.is_object();
  if (is_good) {
    for (const auto& member : root.get_object()) {
      const std::string_view name(member.key().data(), member.key().size());
      std::optional<space_amount>* const to = name == "warn"      ? &read.warn
                                              : name == "archive" ? &read.archive
                                              : name == "prune"   ? &read.prune
                                              : name == "refuse"  ? &read.refuse
                                                                  : nullptr;
      const auto* const value = member.value().if_string();
      const auto amount = value != nullptr ? parse_space({value->data(), value->size()}) : std::nullopt;
      if (to == nullptr || !amount) {
        is_good = false;
      } else {
        *to = amount;
      }
    }
  }
  const std::array<const std::optional<space_amount>*, 4> order = {&read.warn, &read.archive, &read.prune, &read.refuse};
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (std::size_t j = i + 1; j < order.size(); ++j) is_good = is_good && are_in_order(*order[i], *order[j]);
  }
  if (!is_good) reader.problem("pressure", expected);
  return read;
}

}  // namespace annals
