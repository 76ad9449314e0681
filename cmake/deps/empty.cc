// A target needs a source; this one only names dependencies. SPDX-License-Identifier: Apache-2.0
