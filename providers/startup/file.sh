# from_file PATH FILE
from_file() { cp "$1" "$2"; }
