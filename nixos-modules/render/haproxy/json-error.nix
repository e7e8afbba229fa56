# An error in the shape of the API's, as a HAProxy string.
code: message:
"'"
+ builtins.toJSON {
  errors = [
    {
      inherit message;
      extensions = { inherit code; };
    }
  ];
}
+ "'"
