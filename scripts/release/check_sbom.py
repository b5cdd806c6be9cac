"""Holds a bill of materials against CycloneDX's own schema: pip install 'cyclonedx-python-lib[json-validation]'; check_sbom.py FILE"""

import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read())
sys.exit(str(wrong) if wrong else print(f"{sys.argv[1]} is CycloneDX 1.6"))
