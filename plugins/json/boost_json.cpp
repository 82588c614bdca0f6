// SPDX-License-Identifier: Apache-2.0
// Boost.JSON itself, for plugins that read lines.
#include <boost/json/src.hpp>
